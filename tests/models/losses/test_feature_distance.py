"""The feature distance, by loops over positions; its frozen network."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import toys
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.losses.feature_distance import FeatureDistance, thing_positions
from mmseg_uda.structures import Crops, Detail, ImageBatch, SegOutput

SIZE, THINGS = (8, 12), (1, 3)


def make(**changes: Any) -> FeatureDistance:
    options = dict(domain_weights=dict(source=0.5), classes=THINGS, allow_untrained=True)
    torch.manual_seed(3)
    module = MODELS.build(
        dict(type='FeatureDistance', backbone=dict(type='ToyBackbone'), **{**options, **changes})
    )
    module.init_weights()
    return module


def output(
    features: Tensor, labels: Tensor | None = None, domain: str = 'source', seed: int = 0
) -> SegOutput:
    """A pass on random images; labels (N, H, W) are of a few classes in blocks by default."""
    count = len(features)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, *toys.SIZE, generator=generator)
    if labels is None:
        coarse = torch.randint(0, 4, (count, *SIZE), generator=generator)
        labels = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
        labels[:, ::5, 3:40] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    empty = torch.zeros(count, 4, *SIZE)
    return SegOutput((features,), empty, domain, empty, ImageBatch(images, samples))


def random_features(count: int = 2, channels: int = 8, seed: int = 1) -> Tensor:
    return torch.randn(count, channels, *SIZE, generator=torch.Generator().manual_seed(seed))


def value_of(loss: FeatureDistance, given: SegOutput) -> Tensor:
    losses = loss(given)
    assert list(losses) == ['loss_feature_distance']
    return losses['loss_feature_distance']


def slow_mask(labels: Tensor, min_share: float = 0.75) -> list[tuple[int, int, int]]:
    """Positions, by counting the 16 pixels of each."""
    found = []
    for n in range(len(labels)):
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                block = labels[n, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].flatten().tolist()
                winner = max(set(block), key=block.count)
                if winner in THINGS and block.count(winner) >= min_share * len(block):
                    found.append((n, y, x))
    return found


@pytest.mark.parametrize('min_share', [0.6, 0.75, 1.0])
def test_l2_by_loops(min_share: float) -> None:
    loss, features = make(min_share=min_share), random_features()
    given = output(features)
    frozen = loss.backbone(given.batch.images)[-1]
    mask = slow_mask(given.batch.labels, min_share)
    assert 10 < len(mask) < 192
    norms = [
        math.sqrt(sum((features[n, c, y, x] - frozen[n, c, y, x]).item() ** 2 for c in range(8)))
        for n, y, x in mask
    ]
    assert_close(value_of(loss, given).item(), 0.5 * sum(norms) / len(norms), atol=1e-5, rtol=0)


def test_form_of_vfm_uda_by_loops() -> None:
    """All positions, no labels, features of other channels and another size."""
    torch.manual_seed(0)
    loss = make(
        classes=None,
        domain_weights=dict(source=0.1, target=0.3),
        distance='cosine_smooth_l1',
        projection=(5, 8),
        input_size=(16, 16),
    )
    given = output(random_features(channels=5), domain='target')
    small = torch.nn.functional.interpolate(given.batch.images, (16, 16), mode='bilinear')
    g = loss.backbone(small)[-1]
    assert g.shape == (2, 8, 4, 4)
    rows = given.features[0].permute(0, 2, 3, 1)
    f = loss.projection(rows).permute(0, 3, 1, 2)
    f = torch.nn.functional.interpolate(f, (4, 4), mode='bilinear')
    terms = []
    for n in range(2):
        for y in range(4):
            for x in range(4):
                a, b = f[n, :, y, x].tolist(), g[n, :, y, x].tolist()
                cosine = sum(i * j for i, j in zip(a, b)) / math.hypot(*a) / math.hypot(*b)
                gaps = [abs(i - j) for i, j in zip(a, b)]
                smooth = [gap**2 / 2 if gap < 1 else gap - 0.5 for gap in gaps]
                terms.append(0.9 * (1 - cosine) + 0.1 * sum(smooth) / 8)
    assert_close(value_of(loss, given).item(), 0.3 * sum(terms) / 32, atol=1e-5, rtol=1e-4)
    by_domain = {
        key: value_of(loss, output(random_features(channels=5), None, key)).item()
        for key in ('source', 'target')
    }
    assert by_domain['target'] == pytest.approx(3 * by_domain['source'])
    value_of(loss, given).backward()
    assert all(param.grad is not None for param in loss.projection.parameters())
    assert all(param.grad is None for param in loss.backbone.parameters())


def test_share_is_of_all_pixels() -> None:
    labels = torch.full((1, 4, 16), 2)
    labels[0, :3, :4] = 3  # 12 of 16
    labels[0, :3, 4:8], labels[0, 0, 4] = 3, 0  # 11
    labels[0, :, 8:12], labels[0, 1:, 8:12] = 255, 255
    labels[0, 0, 8:12] = 3  # all of the labelled ones, 4 of 16
    found = thing_positions(labels, (1, 4), THINGS, 0.75)
    assert found.tolist() == [[[True, False, False, False]]]


def test_maps_that_do_not_divide_the_image() -> None:
    """As of ResNets with ceil-mode pooling: 65 columns of 512 pixels."""
    labels = torch.full((1, 512, 512), 1)
    assert thing_positions(labels, (65, 65), THINGS, 1.0).all()
    labels[:, :, 256:] = 0
    found = thing_positions(labels, (65, 65), THINGS, 0.75)
    assert found[0, 0].tolist() == [True] * 32 + [False] * 33


def test_several_resolutions_need_a_size() -> None:
    given = output(random_features())
    crops = Crops([(0, 0)] * 2, (8, 8))
    detailed = replace(given, detail=Detail(given.seg_logits, crops, 0.1))
    with pytest.raises(ValueError, match=r'FeatureDistance.input_size: expected the size of the'):
        make()(detailed)


def test_nothing_to_compare_and_equal_features() -> None:
    """0 and a finite gradient without things, and where student and frozen network agree."""
    loss = make()
    for labels in (torch.zeros(2, *toys.SIZE).long(), torch.full((2, *toys.SIZE), 255)):
        features = random_features().requires_grad_()
        value = value_of(loss, output(features, labels))
        value.backward()
        assert value == 0
        assert features.grad.eq(0).all()
    given = output(random_features(), torch.ones(2, *toys.SIZE).long())
    same = loss.backbone(given.batch.images)[-1].clone().requires_grad_()
    value = value_of(loss, output(same, torch.ones(2, *toys.SIZE).long()))
    value.backward()
    assert value == 0
    assert same.grad.eq(0).all()


def test_half_precision() -> None:
    loss, features = make(), 40 * random_features()
    expected = value_of(loss, output(features))
    with torch.autocast('cpu', torch.bfloat16):
        found = value_of(loss, output(features.bfloat16()))
    assert found.dtype is torch.float32
    assert_close(found, expected, rtol=1e-2, atol=0)


def test_passes_without_a_loss() -> None:
    assert make()(output(random_features(), domain='mix')) == {}
    given = output(random_features())
    with pytest.raises(ValueError, match='FeatureDistance: expected a pass of a method'):
        make()(SegOutput(given.features, given.seg_logits, 'source', given.raw_logits))


def test_frozen_network_stays_as_it_is() -> None:
    model = toys.build('mean_teacher', regularizers=dict(fd=toys.FEATURE_DISTANCE)).train()
    frozen = model.regularizers['fd'].backbone
    assert not any(module.training for module in frozen.modules())
    before = copy.deepcopy(frozen.state_dict())
    data = model.data_preprocessor(toys.batch(), True)
    losses = model(**data, mode='loss')
    losses['source.fd.loss_feature_distance'].backward()
    assert_close(frozen.state_dict(), before, atol=0, rtol=0)
    reached = {name for name, param in model.named_parameters() if param.grad is not None}
    assert {name.split('.')[1] for name in reached} == {'backbone'}
    assert all(name.startswith('student.') for name in reached)
    assert not any('regularizers' in name for name in model.teacher.state_dict())


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (
            dict(domain_weights=dict(source=-1)),
            r'FeatureDistance.domain_weights.source: .* but got -1',
        ),
        (dict(min_share=0.5), r'FeatureDistance.min_share: .*\(0.5, 1\], but got 0.5'),
        (dict(distance='l1'), "FeatureDistance.distance: .*'cosine_smooth_l1'"),
        (dict(in_index=0.5), 'FeatureDistance.in_index'),
        (
            dict(domain_weights=dict(target=1)),
            'classes: expected None, as target images have no lab',
        ),
        (dict(allow_untrained=False), r"init_cfg: expected dict\(type='Pretrained'.* but got None"),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make(**changes)
