"""What VFM-UDA and its baselines prescribe: rates, images, and what the variants share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from config_files import load
from mmseg.registry import TRANSFORMS

from mmseg_uda.config.building import build_model, build_optimizers
from mmseg_uda.config.datasets import iter_datasets

VFM_UDA = 'vfm_uda/vfm-uda_dinov2-{}-vfm_4xb2-40k_{}-1024x1024{}.py'
SOURCE_ONLY = 'source_only/source-only_dinov2-b-vfm_4xb2-40k_gta2cityscapes-1024x1024{}.py'


def rates_of(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[float, float]]:
    """Rate and decay of each trained parameter, on four processes."""
    monkeypatch.setattr(
        'mmseg_uda.engine.optimizers.joint_optim_constructor.get_world_size', lambda: 4
    )
    cfg = copy.deepcopy(load(name).to_dict())
    model = build_model(cfg)
    settings = {
        id(param): (group['lr'], group['weight_decay'])
        for wrapper in build_optimizers(cfg, model).values()
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    return {key: settings[id(p)] for key, p in model.named_parameters() if id(p) in settings}


def test_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """5e-5 times the root of 8 images, a tenth of it in the encoder, and decay for all."""
    found = rates_of(VFM_UDA.format('b', 'gta2cityscapes', ''), monkeypatch)
    assert len(found) == 174 + 12
    for key, (rate, decay) in found.items():
        assert key.startswith('student.')
        expected = 1.414e-5 if key.startswith('student.backbone.') else 1.414e-4
        assert rate == pytest.approx(expected, rel=1e-3), key
        assert decay == 0.01, key


def test_rates_of_the_second_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rates_of(VFM_UDA.format('l', 'gta2cityscapes', '_plus'), monkeypatch)
    rates = {key: rate / 8**0.5 for key, (rate, _) in found.items()}
    assert rates['student.decode_head.conv_seg.weight'] == pytest.approx(1e-5)
    assert rates['regularizers.feature_distance.projection.0.weight'] == pytest.approx(1e-5)
    blocks = 'student.backbone.model.blocks.{}.norm1.weight'
    assert rates[blocks.format(23)] == pytest.approx(1e-6)
    assert rates[blocks.format(0)] == pytest.approx(1e-6 * 0.9**23)
    assert rates['student.backbone.model.pos_embed'] == pytest.approx(1e-6 * 0.9**24)


def test_source_only_tuned_and_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, frozen = (rates_of(SOURCE_ONLY.format(row), monkeypatch) for row in ('', '_frozen'))
    assert {key.split('.')[1] for key in frozen} == {'decode_head'}
    head = {key: value for key, value in tuned.items() if key.startswith('student.decode_head.')}
    assert head == frozen
    assert tuned['student.backbone.model.pos_embed'][0] == pytest.approx(
        1.414e-5 * 0.9**12, rel=1e-3
    )


def samples(name: str, domain: str, size: tuple[int, int]) -> Any:
    """A sample of a domain that is made from an image of this size."""
    ((_, dataset),) = iter_datasets(load(name).train_dataloader[domain].dataset)
    results = dict(
        img=np.zeros((*size, 3), np.uint8), img_shape=size, ori_shape=size, seg_fields=[]
    )
    if domain == 'source':
        results.update(gt_seg_map=np.arange(size[1])[None].repeat(size[0], 0) % 19)
        results['seg_fields'].append('gt_seg_map')
    for step in dataset.pipeline:
        if not step.type.startswith('Load'):
            results = TRANSFORMS.build(step)(results)
    return results


@pytest.mark.parametrize(
    ('name', 'source', 'target'),
    [
        (VFM_UDA.format('b', 'gta2cityscapes', ''), (1052, 1914), (1024, 2048)),
        (VFM_UDA.format('b', 'synthia2cityscapes', '_plus'), (760, 1280), (1024, 2048)),
        (VFM_UDA.format('l', 'cityscapes2dark_zurich', '_plus'), (1024, 2048), (1080, 1920)),
    ],
)
def test_crops(name: str, source: tuple[int, int], target: tuple[int, int]) -> None:
    """Of 1024 x 1024, or as high as the image if it is lower; the margins move with it."""
    np.random.seed(1)
    sample = samples(name, 'source', source)['data_samples']
    height, width = sample.gt_sem_seg.shape
    assert (1024 if 'gta' in name else 921) <= height <= 1024
    assert width == 1024
    sample = samples(name, 'target', target)['data_samples']
    assert 921 <= sample.img_shape[0] <= 1024
    assert ('label_mask' in sample) == ('2cityscapes' in name)
    if 'label_mask' in sample:
        assert sample.label_mask.shape == sample.img_shape
        assert 0 < sample.label_mask.data.float().mean() < 1


def test_variants_share_all_but_their_parts() -> None:
    """The second paper masks pixels and adds a distance, also where the data are others."""
    plain, plus, synthia = (
        load(VFM_UDA.format(*each)).to_dict()['model']
        for each in (
            ('l', 'gta2cityscapes', ''),
            ('l', 'gta2cityscapes', '_plus'),
            ('b', 'synthia2cityscapes', '_plus'),
        )
    )
    assert plain.pop('mask_at') == 'tokens'
    assert [each.pop('mask')['block_size'] for each in (plain, plus)] == [1, 57]
    assert round(1024 / 57) == round(1120 / 64) == 18
    distance = plus.pop('regularizers')['feature_distance']
    assert distance.pop('projection') == (1024, 1024)
    assert plain == plus
    other = synthia['regularizers']['feature_distance']
    assert other.pop('projection') == (768, 1024)
    assert other == distance
