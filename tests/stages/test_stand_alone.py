"""Exported pairs where only stock mmseg is installed: the import of mmseg_uda is blocked."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from exported_pairs import NETWORKS, export
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_uda.stages.export import export_segmentor, plain_config
from mmseg_uda.stages.export.sources import stand_alone

WITHOUT_US = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'mmseg_uda':
            raise ModuleNotFoundError(f'{name} is not installed here')

sys.meta_path.insert(0, Block())
"""
PREDICT = (
    WITHOUT_US
    + """
sys.modules['timm'] = None  # mmseg imports it if it can, and stops at an unfit torchvision
from pathlib import Path
import numpy as np
from mmseg.apis import inference_model, init_model

image = np.load('image.npy')
for config in sorted(Path().glob('*/config.py')):
    model = init_model(str(config), str(config.with_name('a.pth')), device='cpu')
    np.save(config.with_name('logits.npy'), inference_model(model, image).seg_logits.data.numpy())
"""
)


@pytest.mark.slow
def test_pairs_run_without_this_package(tmp_path: Path) -> None:
    """Each network of this package, in one process for all."""
    image = np.random.default_rng(0).integers(0, 256, (*toys.SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / 'image.npy', image)
    methods = {name: export(tmp_path / name, name) for name in NETWORKS}
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    command = [sys.executable, '-W', 'ignore', '-c', PREDICT]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    images = (torch.from_numpy(image).permute(2, 0, 1)[None].float() - 127) / 64
    meta = dict(img_shape=toys.SIZE, pad_shape=toys.SIZE, ori_shape=toys.SIZE)
    for name, method in methods.items():
        with torch.no_grad():
            expected = method.student.encode_decode(images, [meta])[0]
        found = torch.from_numpy(np.load(tmp_path / name / 'logits.npy'))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, msg=name)


def test_every_network_fits_in_one_file() -> None:
    """No two modules define the same name, and nothing that the file needs is missing."""
    rooms = tuple(
        f'mmseg_uda.models.{room}.' for room in ('backbones', 'decode_heads', 'segmentors')
    )
    networks = [cls for cls in MODELS.module_dict.values() if cls.__module__.startswith(rooms)]
    text = stand_alone([*networks, MODELS.get('DiscriminatorAttention')])
    assert 'mmseg_uda.' not in text.replace('``mmseg_uda.', '').replace('~mmseg_uda.', '')
    assert 'PixelCrossEntropyLoss' not in text
    tree = ast.parse(text)
    defined = [node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    assert len(defined) == len(set(defined))
    assert {cls.__name__ for cls in networks} < set(defined)
    assert len(networks) >= 12
    assert 'SelfAttentionModule' in defined  # named by a default config alone


@pytest.mark.parametrize(
    ('evaluator', 'expected'),
    [
        (dict(type='SubsetIoUMetric'), dict(type='IoUMetric', iou_metrics=['mIoU'])),
        (
            [dict(type='IoUMetric'), dict(type='LabelFreeMetric')],
            [dict(type='IoUMetric')],
        ),
        (
            dict(type='IoUMetric', iou_metrics=['mDice']),
            dict(type='IoUMetric', iou_metrics=['mDice']),
        ),
    ],
)
def test_metrics_of_ours_are_dropped(tmp_path: Path, evaluator: Any, expected: Any) -> None:
    model = dict(type='SourceOnly', segmentor=NETWORKS['deeplab'])
    cfg = toys.runner_cfg(tmp_path, tmp_path, model, test_evaluator=evaluator)
    assert plain_config(cfg).test_evaluator == expected


def test_without_target_labels(tmp_path: Path) -> None:
    """A config without validation and test sets gives one that stock mmseg builds a runner of."""
    model = dict(type='SourceOnly', segmentor=NETWORKS['deeplab'])
    none = {
        f'{split}_{part}': None
        for split in ('val', 'test')
        for part in ('dataloader', 'evaluator', 'cfg')
    }
    plain = plain_config(toys.runner_cfg(tmp_path, tmp_path, model, **none))
    assert not [key for key in plain if key.startswith(('val_', 'test_'))]


def test_datasets_and_labels_of_ours(tmp_path: Path) -> None:
    model = dict(type='SourceOnly', segmentor=NETWORKS['deeplab'])
    cfg = toys.runner_cfg(tmp_path, tmp_path, model)
    mapped = dict(type='LoadMappedAnnotations', classes=['a'], label_map={1: 'a'})
    cfg.test_dataloader.dataset = dict(
        type='GTADataset',
        data_root='gta',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=[dict(type='LoadImageFromFile'), mapped, dict(type='PackUDAInputs')],
    )
    notes: list[str] = []
    plain = plain_config(Config(cfg.to_dict()), notes)
    dataset = plain.test_dataloader.dataset
    assert dataset.type == 'BaseSegDataset'
    assert len(dataset.metainfo.classes) == 19
    assert dataset.seg_map_suffix == '_labelTrainIds.png'
    assert [step.type for step in dataset.pipeline] == ['LoadImageFromFile', 'PackSegInputs']
    assert plain.test_evaluator == []
    text = (
        'The test pipeline has LoadMappedAnnotations, which stock mmseg lacks: it is left out, so '
        'that no labels are loaded and the test has no metrics.'
    )
    assert text in notes


def test_card_asks_for_timm(tmp_path: Path) -> None:
    export(tmp_path / 'vfm_uda', 'vfm_uda')
    card = (tmp_path / 'vfm_uda' / 'config.md').read_text()
    assert 'The network is one of timm, which must be installed: pip install timm.' in card


def test_model_card(tmp_path: Path) -> None:
    root = tmp_path / 'dast'
    export(root, 'dast')
    card = (root / 'config.md').read_text()
    for line in (
        '* 1: b, RGB (1, 1, 1)',
        '* BGR images in [0, 255]',
        '* mean [127.0, 127.0, 127.0], std [64.0, 64.0, 64.0]',
        '* source, training: BaseSegDataset, source/images',
        '| 3 | 2 | mIoU | _(fill in)_ | _(fill in)_ |',
        '* Target images: _(fill in)_',
    ):
        assert line in card.splitlines()
    assert 'The attention of DAST is a part of the network' in card
    log = root / 'run' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(
        '{"loss": 1.0, "step": 2}\n{"mIoU": 12.5, "step": 2}\n{"mIoU": 9.0, "step": 1}\n{"mI'
    )
    cfg = Config.fromfile(root / 'config.py')
    cfg.model = dict(type='SourceOnly', segmentor=cfg.model, regularizers=dict(sam=dict(type='X')))
    export_segmentor(str(root / 'method.pth'), root / 'b.pth', cfg, root / 'b.py')
    card = (root / 'b.md').read_text()
    assert '| None | 2 | mIoU | 12.5 | validation during training |' in card.splitlines()
    assert 'Regularisers such as SAM are losses' in card
