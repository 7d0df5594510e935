"""``tools/train_image_labels.py``: its flags, and training from what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toys
from mmseg.registry import MODELS

from mmseg_uda.artifacts.image_labels import ImageLabels

tool = toys.load_script('tools/train_image_labels.py')
OPTIONS = ['--num-workers', '0', '--input-size', '24', '16', '--epochs', '2', '--lr', '.1']


@pytest.fixture
def config(tmp_path: Path) -> str:
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / 'run', toys.method_cfg('pit'), 2)
    backbone = MODELS.build(toys.segmentor_cfg()['backbone'])
    torch.save(backbone.state_dict(), tmp_path / 'net.pth')
    cfg.dump(tmp_path / 'pit.py')
    return str(tmp_path / 'pit.py')


def test_predicted_labels_train_pit(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / 'labels.npz')
    arguments = [
        config,
        '--out',
        out,
        '--features',
        'config',
        '--weights',
        str(tmp_path / 'net.pth'),
        *OPTIONS,
    ]
    tool.main(arguments)
    said = capsys.readouterr().out
    assert f'{out}: share of 4 classes in 7 images; cross entropy ' in said
    labels = ImageLabels.read(out)
    assert labels.names == [f'{i}.png' for i in range(7)]
    keys = ('features', 'input_size', 'epochs', 'lr', 'batch_size', 'seed')
    assert [labels.recipe[key] for key in keys] == ['config', [24, 16], 2, 0.1, 4, 0]
    with pytest.raises(ValueError, match='made with other settings .batch_size: .*; seed: '):
        tool.main([*arguments, '--batch-size', '2', '--seed', '5'])
    tool.main([*arguments, '--batch-size', '2', '--seed', '5', '--overwrite'])
    assert ImageLabels.read(out).recipe['seed'] == 5
    assert ImageLabels.read(f'{out}.old-1').recipe['seed'] == 0
    with pytest.raises(ValueError, match=r'train_image_labels\.out: .* apart from .*images'):
        tool.main([*arguments, '--out', str(tmp_path / 'data/target/images/labels.npz')])
    cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / 'run', toys.method_cfg('pit'), 2)
    cfg.train_dataloader.target.dataset.pipeline[1].label_file = out
    toys.train(cfg)
    cfg.train_dataloader.target.dataset.pipeline[1].label_file = out + '.none'
    with pytest.raises(FileNotFoundError, match='run tools/train_image_labels.py CONFIG --out'):
        toys.train(cfg)  # before the first iteration


def test_given_labels(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / 'presence.npz')
    tool.main([config, '--out', out, '--from-labels', '--num-workers', '0'])
    assert f'{out}: presence of 4 classes in 7 images' in capsys.readouterr().out
    assert ImageLabels.read(out).kind == 'presence'
    tool.main([config, '--out', out, '--from-labels', 'share', '--num-workers', '0', '--overwrite'])
    assert ImageLabels.read(out).kind == 'share'
    prefix = 'train_dataloader.target.dataset.data_prefix.seg_map_path=pseudo'
    tool.main(
        [
            config,
            '--out',
            str(tmp_path / 'x.npz'),
            '--from-labels',
            'share',
            '--num-workers',
            '0',
            '--cfg-options',
            prefix,
        ]
    )
    assert ImageLabels.read(str(tmp_path / 'x.npz')).digest != ImageLabels.read(out).digest
