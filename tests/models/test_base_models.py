"""The networks of ``configs/_base_/models``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'

# Millions of parameters, and the size of the logits for a (512, 1024) image.
NETWORKS = {
    'deeplabv2_r101': (43.901, (65, 129)),
    'deeplabv2_r101_coco': (43.901, (65, 129)),
    'deeplabv2_vgg16': (29.573, (64, 128)),
    'fcn8s_vgg16': (134.353, (512, 1024)),
    'deeplabv2_mobilenetv2': (2.031, (64, 128)),
    'deeplabv2_mobilenetv2-035': (0.327, (64, 128)),
    'toy_mobilenetv2': (0.562, (64, 128)),
}


def test_all_are_listed() -> None:
    assert {path.stem for path in FOLDER.glob('*.py')} == set(NETWORKS)


@pytest.mark.parametrize('name', NETWORKS)
def test_network(name: str) -> None:
    millions, size = NETWORKS[name]
    config = Config.fromfile(FOLDER / f'{name}.py').model
    with torch.device('meta'):
        model = MODELS.build(config)
        logits = model(torch.zeros(1, 3, 512, 1024))
    assert logits.shape == (1, 19, *size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=1e-3)
    init_cfg = model.backbone.init_cfg
    if name == 'toy_mobilenetv2':
        assert all(cfg['type'] != 'Pretrained' for cfg in init_cfg)
    elif name == 'deeplabv2_mobilenetv2-035':  # no public file: the config says how to make it
        assert init_cfg['checkpoint'] == 'checkpoints/mobilenetv2_035_imagenet.pth'
    else:
        assert init_cfg['checkpoint'].startswith(('https://', 'http://', 'mmcls://'))


def test_small_network_trains() -> None:
    model = MODELS.build(Config.fromfile(FOLDER / 'toy_mobilenetv2.py').model)
    model.init_weights()
    model.train()
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=torch.randint(19, (1, 65, 97)))) for _ in range(2)
    ]
    model.loss(torch.randn(2, 3, 65, 97), samples)['decode.loss_ce'].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
