"""Losses of a decode head from labels as a tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.decode_loss import decode_loss

OURS = dict(type='PixelCrossEntropyLoss')
STOCK = dict(type='CrossEntropyLoss', avg_non_ignore=True)


def head(loss: Any = OURS, **kwargs: Any) -> FCNHead:
    return FCNHead(
        in_channels=2,
        channels=2,
        num_convs=0,
        concat_input=False,
        num_classes=toys.NUM_CLASSES,
        loss_decode=loss,
        **kwargs,
    )


def logits_and_labels() -> tuple[Tensor, Tensor]:
    logits = torch.randn(2, toys.NUM_CLASSES, 4, 6, requires_grad=True)
    labels = torch.randint(toys.NUM_CLASSES, (2, 8, 12))
    labels[0, :3] = 255
    return logits, labels


def slow_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Pixel by pixel."""
    terms = []
    for n, y, x in (labels != 255).nonzero().tolist():
        term = -logits[n, :, y, x].log_softmax(0)[labels[n, y, x]]
        terms.append(term if weight is None else term * weight[n, y, x])
    return torch.stack(terms).sum() / len(terms)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('weighted', [False, True])
def test_is_the_mean_over_labelled_pixels(align_corners: bool, weighted: bool) -> None:
    logits, labels = logits_and_labels()
    weight = torch.rand(labels.shape) if weighted else None
    losses = decode_loss(head(align_corners=align_corners), logits, labels, weight)
    large = F.interpolate(logits, (8, 12), mode='bilinear', align_corners=align_corners)
    assert_close(losses['loss_ce'], slow_cross_entropy(large, labels, weight))
    right = (large.argmax(1) == labels)[labels != 255]
    assert_close(losses['acc_seg'], 100.0 * right.float().mean())
    assert losses.keys() == {'loss_ce', 'acc_seg'}


def test_equals_the_stock_head() -> None:
    logits, labels = logits_and_labels()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    for loss in (
        STOCK,
        [STOCK, dict(STOCK, loss_weight=0.5)],
        [STOCK, dict(STOCK, loss_name='loss_second')],
    ):
        stock = head(loss)
        expected = stock.loss_by_feat(logits, samples)
        got = decode_loss(stock, logits, labels)
        assert got.keys() == expected.keys()
        for key in expected:
            if key != 'acc_seg':
                assert_close(got[key], expected[key])


def test_equals_the_stock_head_with_a_sampler() -> None:
    logits, labels = logits_and_labels()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    ohem = head(STOCK, sampler=dict(type='OHEMPixelSampler', thresh=0.3, min_kept=10))
    assert_close(
        decode_loss(ohem, logits, labels)['loss_ce'], ohem.loss_by_feat(logits, samples)['loss_ce']
    )
    zero = decode_loss(ohem, logits, labels, torch.zeros(labels.shape))
    assert zero['loss_ce'] == 0


@pytest.mark.parametrize('loss', [OURS, STOCK])
def test_weight_zero(loss: dict[str, Any]) -> None:
    logits, labels = logits_and_labels()
    value = decode_loss(head(loss), logits, labels, torch.zeros(labels.shape))['loss_ce']
    assert value == 0
    value.backward()
    assert logits.grad.eq(0).all()


def test_all_ignored() -> None:
    logits, labels = logits_and_labels()
    losses = decode_loss(head(), logits, torch.full_like(labels, 255))
    assert losses['loss_ce'] == 0
    assert losses['acc_seg'] == 0
    losses['loss_ce'].backward()
    assert logits.grad.eq(0).all()


def test_gradient() -> None:
    logits, labels = logits_and_labels()
    decode_loss(head(), logits, labels)['loss_ce'].backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


class OwnHead(FCNHead):
    """A head that computes its own loss."""

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
        labels = torch.cat([sample.gt_sem_seg.data for sample in batch_data_samples])
        return dict(loss_own=seg_logits.mean() * labels.shape[0])


def test_head_with_its_own_loss() -> None:
    own = OwnHead(in_channels=2, channels=2, num_convs=0, concat_input=False, num_classes=4)
    logits, labels = logits_and_labels()
    assert_close(decode_loss(own, logits, labels), dict(loss_own=logits.mean() * 2))
    with pytest.raises(
        TypeError,
        match='OwnHead: expected the stock `loss_by_feat`, which takes pixel weights, '
        'but got a loss of its own; write another decode head',
    ):
        decode_loss(own, logits, labels, torch.ones(labels.shape))
