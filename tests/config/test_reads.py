"""Files and directories that a config reads."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_uda.config.reads import read_paths


def test_read_paths() -> None:
    source = dict(
        data_root='data/a', data_prefix=dict(img_path='x', seg_map_path='y'), ann_file='list.txt'
    )
    target = dict(
        type='RepeatDataset',
        dataset=dict(data_prefix=dict(img_path='/b'), pipeline=[dict(style_dir='c')]),
    )
    cfg = dict(
        train_dataloader=dict(source=dict(dataset=source), target=dict(dataset=target)),
        val_dataloader=dict(dataset=dict(data_root='d')),
        test_dataloader=dict(dataset=dict(data_root='s3://bucket', data_prefix=dict(img_path='x'))),
        model=dict(backbone=dict(init_cfg=dict(checkpoint='torchvision://resnet18'))),
        load_from='e.pth',
    )
    expected = {
        'train_dataloader.source.dataset.data_prefix.img_path': 'data/a/x',
        'train_dataloader.source.dataset.data_prefix.seg_map_path': 'data/a/y',
        'train_dataloader.target.dataset.dataset.data_prefix.img_path': '/b',
        'train_dataloader.target.dataset.dataset.pipeline.0.style_dir': 'c',
        'val_dataloader.dataset.data_root': 'd',
        'train_dataloader.source.dataset.ann_file': 'data/a/list.txt',
        'load_from': 'e.pth',
    }
    assert dict(read_paths(cfg)) == expected
    del expected['load_from']
    assert dict(read_paths(Config(cfg), but=['checkpoint'])) == expected
