"""PIT's units: maps, pooled scores, labels of images, and the head in stock segmentors."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.testing import assert_close
from toys import NUM_CLASSES, batch, segmentor_cfg

from mmseg_uda.models.decode_heads import LSEExpansionHead, class_shares, raw_logits
from mmseg_uda.models.layers import lse_pool
from mmseg_uda.structures import SegOutput

DEEPLAB = segmentor_cfg()['decode_head']
FCN8S = dict(type='FCN8sHead', in_channels=(4, 5, 6), num_classes=NUM_CLASSES)
CONV3 = dict(DEEPLAB, dilations=(1,))
CONV1 = dict(
    type='FCNHead',
    in_channels=8,
    in_index=0,
    channels=8,
    num_convs=0,
    kernel_size=1,
    concat_input=False,
    num_classes=NUM_CLASSES,
    align_corners=True,
    dropout_ratio=0,
)
UNITS = [DEEPLAB, FCN8S, CONV3, CONV1]
SIZE = (16, 24)


def make(unit: dict[str, Any] = DEEPLAB, **kwargs: Any) -> LSEExpansionHead:
    head = MODELS.build(
        dict(dict(type='LSEExpansionHead', unit=unit, loss_reconstruction=dict()), **kwargs)
    ).double()
    for param in head.parameters():
        torch.nn.init.normal_(param, std=0.3)
    return head.eval()


def inputs_of(unit: dict[str, Any]) -> tuple[Tensor, ...]:
    if unit is FCN8S:  # a 16 x 24 image's maps, padded by 100
        maps: tuple[Tensor, ...] = (
            torch.randn(2, 4, 27, 28),
            torch.randn(2, 5, 14, 14),
            torch.randn(2, 6, 2, 2),
            torch.empty(2, 0, *SIZE),
        )
    else:
        maps = (torch.randn(2, 8, 3, 4),)
    return tuple(each.double() for each in maps)


def labels_of() -> Tensor:
    labels = torch.randint(0, NUM_CLASSES, (2, *SIZE))
    labels[0, :5] = 255
    return labels


def full_maps(head: LSEExpansionHead, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """S^k at the size of the images, as the equations have them."""
    return [
        resize(unit.forward(inputs), size=SIZE, mode='bilinear', align_corners=True)
        for unit in head.units
    ]


# ------------------------------------------------------------------------------- labels of images


def test_class_shares_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 2], [2, 2, 255]], [[255] * 3] * 2])
    assert_close(class_shares(labels, 4), torch.tensor([[0.4, 0, 0.6, 0], [0.0, 0, 0, 0]]))
    assert_close(
        class_shares(labels, 4, of_all=True), torch.tensor([[2 / 6, 0, 0.5, 0], [0, 0, 0, 0]])
    )
    other = class_shares(labels.clamp(max=2), 4, ignore_index=2)
    assert other.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert class_shares(labels.to('meta'), 4).shape == (2, 4)


def test_class_shares_of_many_pixels() -> None:
    labels = torch.randint(0, 5, (3, 40, 50))
    labels[labels == 4] = 255
    found = class_shares(labels, 4)
    for n in range(3):
        for c in range(4):
            expected = (labels[n] == c).sum() / (labels[n] != 255).sum()
            assert_close(found[n, c], expected)
    assert_close(found.sum(1), torch.ones(3))


# -------------------------------------------------------------------------------------------- L_c


@pytest.mark.parametrize('inv_r', [False, True])
@pytest.mark.parametrize('unit', UNITS)
def test_pooled_scores_are_the_equation(unit: dict[str, Any], inv_r: bool) -> None:
    head, inputs = make(unit, inv_r=inv_r, chunk_elements=1), inputs_of(unit)
    found = head.pool(head(inputs), SIZE)
    expected = torch.stack(
        [lse_pool(maps, r, inv_r) for r, maps in zip((0.5, 1.0, 1.5), full_maps(head, inputs))]
    )
    assert_close(found, expected)
    weight = torch.randn_like(expected)
    gradients = [
        torch.autograd.grad((value * weight).sum(), list(head.units.parameters()))
        for value in (found, expected)
    ]
    assert_close(*gradients)
    assert all(gradient.abs().sum() > 0 for gradient in gradients[0])


def test_uniform_prior() -> None:
    """Maps of 0 have the shares 1/C, at which L_c has no gradient."""
    head, inputs = make(DEEPLAB, uniform_prior=True), inputs_of(DEEPLAB)
    maps = head(inputs)
    flat = dataclasses.replace(maps, scores=torch.zeros_like(maps.scores, requires_grad=True))
    shares = torch.full((2, NUM_CLASSES), 1 / NUM_CLASSES)
    (loss,) = head.loss_by_image_labels(flat, shares, SIZE).values()
    assert_close(torch.autograd.grad(loss, flat.scores)[0], torch.zeros_like(flat.scores))
    # A score's softmax among zeros is its sigmoid less log(C - 1).
    scores = torch.zeros(NUM_CLASSES)
    scores[1] = 1.3
    assert_close((scores[1] + head._log_odds).sigmoid(), scores.softmax(0)[1])
    with pytest.raises(ValueError, match='uniform_prior: expected False for one class'):
        make(dict(DEEPLAB, num_classes=1), uniform_prior=True)


@pytest.mark.parametrize('pool_ignored', [True, False])
@pytest.mark.parametrize('image_label', ['share', 'share_of_all', 'presence'])
def test_image_loss_of_pixel_labels(image_label: str, pool_ignored: bool) -> None:
    head = make(image_label=image_label, pool_ignored=pool_ignored, r=(0.7,))
    inputs, labels = inputs_of(DEEPLAB), labels_of()
    labels[labels == 1] = 2
    y = torch.stack([(labels == c).sum((1, 2)) for c in range(NUM_CLASSES)], 1).float()
    y = {
        'share': y / y.sum(1, True),
        'share_of_all': y / labels[0].numel(),
        'presence': (y > 0).float(),
    }[image_label]
    valid = None if pool_ignored else labels != 255
    maps = full_maps(head, inputs)
    scores = lse_pool(maps[0], 0.7, valid=valid).float()
    expected = 0.5 * torch.nn.functional.binary_cross_entropy_with_logits(scores, y)
    assert_close(head.loss_by_pixel_labels(head(inputs), labels), {'loss_image': expected})


def test_loss_of_image_labels_adds_units_up() -> None:
    head, inputs, y = make(loss_decode=dict(loss_weight=2.0)), inputs_of(DEEPLAB), torch.rand(2, 4)
    parts = [
        torch.nn.functional.binary_cross_entropy_with_logits(lse_pool(maps, r).float(), y)
        for r, maps in zip(head.r, full_maps(head, inputs))
    ]
    assert_close(head.loss_by_image_labels(head(inputs), y, SIZE), {'loss_image': 2 * sum(parts)})


# -------------------------------------------------------------------------------------------- L_r


@pytest.mark.parametrize('weights', ['class', 'unit'])
@pytest.mark.parametrize(
    ('fine', 'unit'),
    [(unit, unit) for unit in UNITS]
    + [
        (dict(DEEPLAB, align_corners=False), DEEPLAB),
        (DEEPLAB, dict(DEEPLAB, align_corners=False)),
    ],
)
def test_reconstruction_is_the_equation(
    fine: dict[str, Any], unit: dict[str, Any], weights: str
) -> None:
    """Also where the decode head upsamples otherwise than the units do."""
    head, decode_head = make(unit, weights=weights), make(fine).units[0]
    inputs = inputs_of(unit)
    scores, upsample = raw_logits(decode_head, inputs)
    output = SegOutput(inputs, upsample(scores), 'target', scores)
    found = head.reconstruction_loss(head(inputs), output, decode_head, SIZE)
    maps = [
        resize(each.forward(inputs), size=SIZE, mode='bilinear', align_corners=head.align_corners)
        for each in head.units
    ]
    summed = sum(w.reshape(1, -1, 1, 1) * s for w, s in zip(head.reconstruction_weight, maps))
    s = resize(
        output.seg_logits, size=SIZE, mode='bilinear', align_corners=decode_head.align_corners
    )
    expected = 0.5 * (summed - s).square().mean()
    assert_close(found['loss_reconstruction'], expected)
    trained = [*head.parameters(), *decode_head.parameters()]  # nothing is detached
    for one, other in zip(
        torch.autograd.grad(found['loss_reconstruction'], trained, retain_graph=True),
        torch.autograd.grad(expected, trained),
    ):
        assert_close(one, other)
        assert one.abs().sum() > 0


def test_mixed_kinds_of_heads() -> None:
    """A fine head of FCN-8s with plain convolutions as units: each is upsampled in its own way."""
    head = make(dict(CONV3, in_channels=6, in_index=2))
    decode_head, inputs = make(FCN8S).units[0], inputs_of(FCN8S)
    scores, upsample = raw_logits(decode_head, inputs)
    output = SegOutput(inputs, upsample(scores), 'source', scores)
    found = head.reconstruction_loss(head(inputs), output, decode_head, SIZE)
    summed = sum(
        w.reshape(1, -1, 1, 1) * s
        for w, s in zip(head.reconstruction_weight, full_maps(head, inputs))
    )
    expected = 0.5 * (summed - output.seg_logits).square().mean()
    assert_close(found['loss_reconstruction'], expected)


def test_reconstruction_of_some_domains() -> None:
    inputs = inputs_of(DEEPLAB)
    head = make(loss_reconstruction=dict(domains=('target',)))
    scores = head.units[0].forward(inputs)
    found = {
        domain: head.reconstruction_loss(
            head(inputs), SegOutput(inputs, scores, domain, scores), head.units[0], SIZE
        )
        for domain in ('source', 'target')
    }
    assert found['source'] == {}
    assert list(found['target']) == ['loss_reconstruction']


def test_weights_begin_as_the_mean() -> None:
    head = MODELS.build(dict(type='LSEExpansionHead', unit=DEEPLAB, loss_reconstruction={}))
    head.init_weights()
    assert head.reconstruction_weight.equal(torch.full((3, NUM_CLASSES), 1 / 3))
    assert make(weights='unit', r=(1.0, 2.0)).reconstruction_weight.shape == (2, 1)
    assert not hasattr(make(loss_reconstruction=None), 'reconstruction_weight')
    first, second = (unit.branches[0].weight for unit in head.units[:2])
    assert not first.equal(second)


# -------------------------------------------------------------------------- in stock segmentors


def test_auxiliary_head_of_a_stock_segmentor() -> None:
    cfg = dict(
        segmentor_cfg(), auxiliary_head=[dict(type='LSEExpansionHead', unit=DEEPLAB), DEEPLAB]
    )
    model = MODELS.build(cfg)
    model.init_weights()
    data = batch()['source']
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert set(losses) == {
        'decode.loss_ce',
        'decode.acc_seg',
        'aux_0.loss_image',
        'aux_1.loss_ce',
        'aux_1.acc_seg',
    }
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(param.grad is not None for param in model.parameters())
    inputs = model.data_preprocessor(data, False)
    features = model.extract_feat(inputs['inputs'])
    labels = torch.cat([each.gt_sem_seg.data for each in data['data_samples']])
    head = model.auxiliary_head[0]
    assert_close(
        losses['aux_0.loss_image'], head.loss_by_pixel_labels(head(features), labels)['loss_image']
    )


def test_reconstruction_needs_pit() -> None:
    head, sample = make(), SegDataSample(gt_sem_seg=PixelData(data=labels_of()[:1]))
    with pytest.raises(
        ValueError,
        match='LSEExpansionHead.loss_reconstruction: expected None in models other than PIT',
    ):
        head.loss_by_feat(head(inputs_of(DEEPLAB)), [sample, sample])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(r=()), r'r: expected a list of numbers, but got \(\)'),
        (dict(r=(1, 0)), r'r: expected a number in \(0, inf\), but got 0'),
        (dict(image_label='count'), "image_label: expected one of .'share', .* but got 'count'"),
        (dict(weights='pixel'), r"weights: expected one of \('class', 'unit'\), but got 'pixel'"),
        (dict(chunk_elements=0), 'chunk_elements: expected an integer of at least 1, but got 0'),
        (
            dict(unit=dict(CONV1, num_classes=2, out_channels=1, threshold=0.3)),
            'unit.out_channels: expected num_classes, 2, but got 1',
        ),
    ],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f'LSEExpansionHead.{message}'):
        make(**change)
