"""What DAFormer and MIC prescribe: schedule, optimizer, network, and images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from config_files import load
from mmseg.registry import PARAM_SCHEDULERS, TRANSFORMS

from mmseg_uda.config.building import build_model, build_optimizers
from mmseg_uda.config.datasets import iter_datasets

DAFORMER = 'daformer/daformer_mit-b5-daformer_1xb2-40k_{}-512x512.py'
MIC = 'mic/mic_mit-b5-daformer_1xb2-40k_{}-512x512.py'


def schedule(name: str, iterations: list[int]) -> list[float]:
    """Rates of the backbone, as a share of the first group's base."""
    cfg = load(name)
    param = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([param], lr=1.0)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(each, optimizer=optimizer)) for each in cfg.param_scheduler
    ]
    rates = []
    for iteration in range(iterations[-1] + 1):
        if iteration in iterations:
            rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for each in schedulers:
            each.step()
    return rates


def test_daformer_schedule() -> None:
    """The warm-up multiplies a decay that begins at 0."""
    iterations = [0, 700, 1499, 1500, 20000, 39000]
    expected = [(1 - t / 40000) * (1 - max(1 - t / 1500, 0) * (1 - 1e-6)) for t in iterations]
    found = schedule(DAFORMER.format('gta2cityscapes'), iterations)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert found[3] == pytest.approx(0.9625, abs=1e-4)
    assert found[4] == pytest.approx(0.5, abs=1e-4)
    after = schedule('camix/camix_mit-b0-segformer_1xb2-40k_gta2cityscapes-512x512.py', [20000])
    assert after[0] == pytest.approx(0.5195, abs=1e-3)  # as in SegFormer


def test_daformer_optimizer_and_network() -> None:
    """AdamW at 6e-5, tenfold in the head; only layer norms do not decay; nothing frozen moves."""
    cfg = load(DAFORMER.format('gta2cityscapes')).to_dict()
    model = build_model(cfg)
    (wrapper,) = build_optimizers(cfg, model).values()
    found = {
        id(param): (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    for name, param in model.named_parameters():
        if name.startswith('student.'):
            rate = 6e-4 if '.decode_head.' in name else 6e-5
            decay = 0.0 if 'norm' in name else 0.01
            assert found[id(param)] == (pytest.approx(rate), decay), name
        else:
            assert not param.requires_grad
            assert id(param) not in found
    count = sum(param.numel() for param in model.student.backbone.parameters())
    assert round(count / 1e6, 1) == 81.4


@pytest.mark.parametrize('data', ['gta2cityscapes', 'synthia2cityscapes'])
def test_mic_is_daformer_and_its_masks(data: str) -> None:
    mic, daformer = (load(name.format(data)).to_dict() for name in (MIC, DAFORMER))
    assert mic['model'].pop('mask') == dict(type='BlockMask', block_size=32, ratio=0.7)
    assert mic['model'].pop('mask_augment') == mic['model']['augment']
    assert mic['model'].pop('lambda_mask') == 1
    assert mic['model'].pop('type') == 'MIC'
    assert daformer['model'].pop('type') == 'MeanTeacher'
    assert mic == daformer


@pytest.mark.parametrize(
    ('data', 'size', 'expected'),
    [
        ('gta2cityscapes', (1914, 1052), (1280, 704)),  # MMSegmentation 0.x kept the ratio
        ('synthia2cityscapes', (1280, 760), (1280, 760)),
        ('cityscapes2acdc', (2048, 1024), (1024, 512)),
        ('cityscapes2dark_zurich', (2048, 1024), (1024, 512)),
    ],
)
def test_images(data: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    loaders = load(DAFORMER.format(data)).train_dataloader
    # Of the first part, if there are several.
    first = {domain: next(iter_datasets(each.dataset))[1] for domain, each in loaders.items()}
    steps = {domain: each.pipeline for domain, each in first.items()}
    resize = TRANSFORMS.build(steps['source'][2])
    image = resize(dict(img=np.zeros((*size[::-1], 3), np.uint8)))['img']
    assert image.shape[1::-1] == expected
    crops = {
        domain: next(step for step in each if step.type == 'RandomCrop')
        for domain, each in steps.items()
    }
    assert {crop.crop_size for crop in crops.values()} == {(512, 512)}
    assert (crops['source'].cat_max_ratio, crops['target'].get('cat_max_ratio', 1.0)) == (0.75, 1.0)
    margins = [step.type for step in steps['target']].count('IgnoreMargins')
    assert margins == int(data.endswith('2cityscapes'))
    sampling = loaders.source.sampling
    assert (sampling.temperature, sampling.min_pixels, sampling.min_crop_ratio) == (0.01, 3000, 0.5)
