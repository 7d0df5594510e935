"""What DAFormer, HRDA and MIC prescribe: schedule, optimizer, network, and images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from config_files import load
from mmseg.registry import PARAM_SCHEDULERS, TRANSFORMS

from mmseg_uda.config.building import build_model, build_optimizers
from mmseg_uda.config.datasets import iter_datasets

DAFORMER = 'daformer/daformer_mit-b5-daformer_1xb2-40k_{}-512x512.py'
HRDA = 'hrda/hrda_mit-b5-daformer_1xb2-40k_{}-1024x1024.py'
MIC_ON_HRDA = 'mic/mic_mit-b5-hrda_1xb2-40k_{}-1024x1024.py'
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


DATA = ['gta2cityscapes', 'synthia2cityscapes', 'cityscapes2acdc', 'cityscapes2dark_zurich']


@pytest.mark.parametrize('data', DATA)
def test_hrda_is_daformer_at_two_resolutions(data: str) -> None:
    hrda, daformer = (load(name.format(data)).to_dict()['model'] for name in (HRDA, DAFORMER))
    student, plain = hrda.pop('segmentor'), daformer.pop('segmentor')
    attention = student.pop('attention')
    assert attention.pop('dilations') is None
    assert attention == student['decode_head']
    assert student.pop('type') == 'MultiResolutionSegmentor'
    assert plain.pop('type') == 'EncoderDecoder'
    numbers = ('detail_size', 'slide_step', 'detail_weight', 'stride')
    assert [student.pop(key) for key in numbers] == [(512, 512), (256, 256), 0.1, 4]
    windows = dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512))
    assert student.pop('test_cfg') == windows
    assert plain.pop('test_cfg') == dict(mode='whole')
    assert student == plain
    assert hrda['regularizers']['feature_distance'].pop('input_size') == (512, 512)
    assert hrda == daformer


@pytest.mark.parametrize('data', DATA)
def test_mic_is_hrda_and_its_masks(data: str) -> None:
    mic, hrda = (load(name.format(data)).to_dict() for name in (MIC_ON_HRDA, HRDA))
    adverse = data.startswith('cityscapes2')
    assert mic['model'].pop('mask') == dict(type='BlockMask', block_size=64, ratio=0.7)
    assert mic['model'].pop('mask_augment', None) == (None if adverse else hrda['model']['augment'])
    assert mic['model'].pop('mask_mode', 'target') == ('separate' if adverse else 'target')
    assert mic['model'].pop('lambda_mask') == 1
    assert [each['model'].pop('type') for each in (mic, hrda)] == ['MIC', 'MeanTeacher']
    assert mic == hrda


@pytest.mark.parametrize(
    ('name', 'data', 'size', 'expected'),
    [
        (DAFORMER, 'gta2cityscapes', (1914, 1052), (1280, 704)),  # mmseg 0.x kept the ratio
        (DAFORMER, 'synthia2cityscapes', (1280, 760), (1280, 760)),
        (DAFORMER, 'cityscapes2acdc', (2048, 1024), (1024, 512)),
        (DAFORMER, 'cityscapes2dark_zurich', (2048, 1024), (1024, 512)),
        (HRDA, 'gta2cityscapes', (1914, 1052), (2560, 1407)),
        (HRDA, 'synthia2cityscapes', (1280, 760), (2560, 1520)),
        (HRDA, 'cityscapes2acdc', (2048, 1024), (2048, 1024)),
        (HRDA, 'cityscapes2dark_zurich', (2048, 1024), (2048, 1024)),
    ],
)
def test_images(name: str, data: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    loaders = load(name.format(data)).train_dataloader
    side, ratio = (512, 0.5) if name == DAFORMER else (1024, 2.0)
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
    assert {crop.crop_size for crop in crops.values()} == {(side, side)}
    assert (crops['source'].cat_max_ratio, crops['target'].get('cat_max_ratio', 1.0)) == (0.75, 1.0)
    margins = [step.type for step in steps['target']].count('IgnoreMargins')
    assert margins == int(data.endswith('2cityscapes'))
    sampling = loaders.source.sampling
    assert (sampling.temperature, sampling.min_pixels, sampling.min_crop_ratio) == (
        0.01,
        3000,
        ratio,
    )
