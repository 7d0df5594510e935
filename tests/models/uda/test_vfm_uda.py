"""Parts of VFM-UDA beside MIC's: masks of tokens, weak augmentation, distances on the target."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.datasets.batch_transforms import StrongAugment
from mmseg_uda.datasets.batch_transforms.base import derive_generators
from mmseg_uda.datasets.batch_transforms.block_mask import block_masks
from mmseg_uda.models.contexts import MaskableTokens, mask_tokens
from mmseg_uda.structures import DomainBatch, ImageBatch

WEAK = StrongAugment(jitter_prob=0.9, blur_prob=0.0)


def losses_of(model: nn.Module) -> tuple[dict[str, Tensor], DomainBatch]:
    data = model.train().data_preprocessor(toys.batch(), True)
    torch.manual_seed(0)
    return model(**data, mode='loss'), DomainBatch.collect(**data)


def weakened(model: Any, batch: ImageBatch) -> Tensor:
    scale = model.data_preprocessor.scale()
    return WEAK(batch.images, **scale, generators=derive_generators(batch.generators, 2))


def logits(network: Any, images: Tensor, kept: Tensor | float = 1.0) -> Tensor:
    """Of a toy, some tokens of which are zero; at the size of the images."""
    backbone = network.backbone
    hidden = backbone.norm(backbone.stem(images) * kept).relu()
    found = network.decode_head((backbone.layer(hidden).relu(),))
    return resize(found, size=toys.SIZE, mode='bilinear', align_corners=False)


def test_terms_by_hand() -> None:
    """The source and the masked target are augmented, the teacher's images are not."""
    model = toys.shaken('vfm_uda')
    losses, batch = losses_of(model)
    source = F.cross_entropy(
        logits(model.student, weakened(model, batch.source)),
        batch.source.labels,
        ignore_index=255,
    )
    assert_close(losses['source.decode.loss_ce'], source)

    images = batch.target.images
    teacher = model.teacher.module
    mirrored = logits(teacher, images.flip(3)).softmax(1).flip(3)
    confidence, label = ((logits(teacher, images).softmax(1) + mirrored) / 2).max(1)
    q = (confidence >= 0.38).float().mean()
    assert 0.1 < q < 0.9
    scale = model.data_preprocessor.scale()
    seen = StrongAugment()(
        weakened(model, batch.target),
        **scale,
        generators=derive_generators(batch.target.generators, 1),
    )
    # A mask of one token each, drawn at the size of the map of tokens.
    tokens = model.student.backbone.stem(seen)
    kept = block_masks(tokens, 1, 0.7, derive_generators(batch.target.generators, 3))
    terms = F.cross_entropy(logits(model.student, seen, kept), label, reduction='none')
    assert_close(losses['masked.decode.loss_con'], q * terms.mean())


def test_mixed_images_are_augmented_weakly_first() -> None:
    """Source pixels of the mix too: without strong augmentation it consists of the weak images."""
    model = toys.shaken('vfm_uda', augment=None)
    batch = DomainBatch.collect(**model.data_preprocessor(toys.batch(), True))
    seen = model.augment_weakly(batch)
    assert seen.source.images.equal(weakened(model, batch.source))
    assert not seen.target.images.equal(batch.target.images)
    mixed = model.mix(seen, model.predict_target(batch.target))
    pasted = mixed.mask.bool()
    assert 0 < pasted.float().mean() < 1
    expected = torch.where(pasted, seen.source.images, seen.target.images)
    assert mixed.images.equal(expected)


def test_layer_masks_inside_the_block_alone() -> None:
    layer = MaskableTokens(nn.Identity())
    tokens = torch.rand(2, 3, 4, 5)
    with mask_tokens(nn.Sequential(layer), lambda maps: maps * (maps.shape == (2, 5, 3, 4)) * 0):
        assert layer(tokens).eq(0).all()
    assert layer(tokens).equal(tokens)


@pytest.mark.parametrize('domains', [('source',), ('source', 'target')])
def test_a_regulariser_gets_the_target_if_it_asks(domains: tuple[str, ...]) -> None:
    regularizers = toys.method_cfg('vfm_uda')['regularizers']
    regularizers['fd']['domain_weights'] = dict.fromkeys(domains, 0.1)
    model, passes = toys.shaken('vfm_uda', regularizers=regularizers), []
    extract = model.student.extract_feat
    model.student.extract_feat = lambda images: passes.append(images) or extract(images)
    losses, batch = losses_of(model)
    assert len(passes) == 2 + len(domains)  # with the mixed and the masked images
    asked = [key for key in losses if key.endswith('loss_feature_distance')]
    assert asked == [f'{domain}.fd.loss_feature_distance' for domain in domains]
    if 'target' in domains:
        assert passes[-1].equal(weakened(model, batch.target))


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(mask_at='patches'), r"MIC.mask_at: expected one of \('image', 'tokens'\)"),
        (
            dict(segmentor=toys.segmentor_cfg()),
            "MIC.mask_at: expected 'image', as ToyBackbone has no tokens to mask, but got "
            "'tokens'; or write backbone.type='TimmFeatures'",
        ),
        (
            dict(weak_augment=dict(type='RandomFlip', prob=0.5)),
            'MIC.weak_augment: expected a transform of whole batches, but got RandomFlip',
        ),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        toys.build('vfm_uda', **changes)
