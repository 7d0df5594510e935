"""What is MIC's own; the rest is in ``test_methods.py`` and ``test_mean_teacher.py``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.datasets.batch_transforms import StrongAugment
from mmseg_uda.datasets.batch_transforms.base import derive_generators
from mmseg_uda.datasets.batch_transforms.block_mask import block_masks
from mmseg_uda.models.uda import mic
from mmseg_uda.structures import DomainBatch

MASKED = 'masked.decode.loss_con'


def losses_of(model: nn.Module, data: Any = None) -> tuple[dict[str, Tensor], DomainBatch]:
    data = model.train().data_preprocessor(data or toys.batch(), True)
    torch.manual_seed(0)
    return model(**data, mode='loss'), DomainBatch.collect(**data)


def probabilities(network: nn.Module, images: Tensor) -> Tensor:
    logits = network.decode_head(network.backbone(images))
    return resize(logits, size=toys.SIZE, mode='bilinear', align_corners=True).softmax(1)


def test_term_by_hand() -> None:
    """CE of the augmented and masked image on labels of the plain one, over all pixels."""
    model = toys.shaken('mic', pseudo_threshold=0.6)
    data = toys.batch()
    margins = torch.ones(1, *toys.SIZE, dtype=torch.bool)
    margins[..., 30:] = False
    for sample in data['target']['data_samples']:
        sample.label_mask = PixelData(data=margins)
    losses, batch = losses_of(model, data)
    images = batch.target.images
    confidence, label = probabilities(model.teacher.module, images).max(1)
    q = (confidence >= 0.6).float().mean()
    assert 0.1 < q < 0.9
    generators = derive_generators(batch.target.generators, 1)
    scale = model.data_preprocessor.scale()
    changed = StrongAugment()(images, **scale, generators=generators)
    changed = changed * block_masks(images, 8, 0.7, generators)
    terms = F.nll_loss(probabilities(model.student, changed).log(), label, reduction='none')
    terms[..., 30:] = 0
    assert_close(losses[MASKED], (q * terms).sum() / label.numel(), atol=1e-5, rtol=1e-4)


def test_host_is_unchanged() -> None:
    """Its losses are bit for bit those without masks, draws included."""
    host, _ = losses_of(toys.shaken('daformer'))
    found, _ = losses_of(toys.shaken('mic'))
    assert {key: value for key, value in found.items() if not key.startswith('masked.')} == host
    assert found.keys() - host.keys() == {MASKED, 'masked.decode.agreement'}


@pytest.mark.parametrize('norm_statistics', ['both', 'target'])
def test_masks_and_running_statistics(norm_statistics: str) -> None:
    """With 'target', running statistics are those of the host: no test has masked images."""
    found = {}
    for name in ('daformer', 'mic'):
        segmentor = toys.method_cfg(name)['segmentor']
        segmentor['backbone']['batch_norm'] = True
        model = toys.build(name, segmentor=segmentor, norm_statistics=norm_statistics)
        losses_of(model)
        found[name] = model.student.backbone.norm.running_mean
    assert torch.equal(found['daformer'], found['mic']) == (norm_statistics == 'target')


def test_teacher_predicts_once_and_sees_no_mask() -> None:
    model, seen = toys.shaken('mic'), []
    predict = model.teacher.forward
    model.teacher.forward = lambda images: seen.append(images) or predict(images)
    _, batch = losses_of(model)
    assert len(seen) == 1
    assert seen[0] is batch.target.images


@pytest.mark.parametrize('lambda_mask', [0.0, 0.25])
def test_weight_of_the_term(lambda_mask: float) -> None:
    whole, _ = losses_of(toys.shaken('mic'))
    found, _ = losses_of(toys.shaken('mic', lambda_mask=lambda_mask))
    assert_close(found[MASKED], lambda_mask * whole[MASKED])


def test_ablations_without_mask_or_augmentation() -> None:
    mask = dict(type='BlockMask', block_size=8, ratio=0.0)
    model = toys.shaken('mic', mask=mask, mask_augment=None)
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(), True))
    masked = model.masked_images(batch, model.predict_target(batch.target))
    assert masked.images.equal(batch.target.images)


@pytest.mark.parametrize(('rank', 'world_size'), [(0, 1), (0, 2), (1, 2)])
def test_separate_images(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int) -> None:
    """Every other image of the joint batch is the source's, with weight 1."""
    monkeypatch.setattr(mic, 'get_dist_info', lambda: (rank, world_size))
    mask = dict(type='BlockMask', ratio=0.0)
    model = toys.shaken('mic_separate', mask=mask, label_weight='pixel', pseudo_threshold=0.6)
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(4), True))
    teacher = model.predict_target(batch.target)
    masked = model.masked_images(batch, teacher)
    for i in range(4):
        if (i * world_size + rank) % 2 == 0:
            assert masked.images[i].equal(batch.source.images[i])
            assert masked.labels[i].equal(batch.source.labels[i])
            assert masked.pixel_weight[i].eq(1).all()
            assert masked.mask[i].eq(1).all()
        else:
            assert masked.images[i].equal(batch.target.images[i])
            assert masked.labels[i].equal(teacher.label[i])
            assert masked.pixel_weight[i].equal(model.confident(teacher)[i])
            assert masked.mask[i].eq(0).all()


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(mask_mode='both'), r"MIC.mask_mode: expected one of \('target', 'separate'\)"),
        (dict(lambda_mask=-1), 'MIC.lambda_mask: '),
        (
            dict(mask=dict(type='RandomFlip', prob=0.5)),
            'MIC.mask: expected a transform of whole batches, but got RandomFlip; write for',
        ),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        toys.build('mic', **changes)
