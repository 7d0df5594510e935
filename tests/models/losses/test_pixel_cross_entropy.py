"""Cross entropy over the pixels that count."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmseg_uda.models.losses import PixelCrossEntropyLoss, pixel_cross_entropy


def slow(logits: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """sum_i w_i (-log p_i[y_i]) / number of pixels that are not ignored."""
    total, count = logits.new_zeros(()), 0
    for n, y, x in torch.cartesian_prod(*(torch.arange(size) for size in labels.shape)).tolist():
        label = int(labels[n, y, x])
        if label == ignore_index:
            continue
        scores = logits[n, :, y, x]
        term = torch.log(sum(score.exp() for score in scores)) - scores[label]
        total = total + term * (1 if weight is None else weight[n, y, x])
        count += 1
    return total / max(count, 1)


def draw(classes: int = 3, ignored: float = 0.3, ignore_index: int = 255) -> tuple[Tensor, Tensor]:
    labels = torch.randint(classes, (2, 3, 4))
    labels[torch.rand(2, 3, 4) < ignored] = ignore_index
    return torch.randn(2, classes, 3, 4).requires_grad_(), labels


def test_undecided_by_hand() -> None:
    labels = torch.tensor([[[0, 1], [255, 2]]])
    assert_close(pixel_cross_entropy(torch.zeros(1, 4, 2, 2), labels), torch.tensor(math.log(4)))
    # Weights scale the terms, not the divisor: (1 + 0 + 2) / 3 terms of log 4.
    weight = torch.tensor([[[1.0, 0.0], [5.0, 2.0]]])
    assert_close(
        pixel_cross_entropy(torch.zeros(1, 4, 2, 2), labels, weight), torch.tensor(math.log(4))
    )
    assert_close(
        pixel_cross_entropy(torch.zeros(1, 4, 2, 2), labels, weight / 2), torch.tensor(math.log(2))
    )


@pytest.mark.parametrize('classes', [1, 3])
@pytest.mark.parametrize('ignored', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('ignore_index', [255, 0])
@pytest.mark.parametrize('weighted', [False, True])
def test_equals_loops(classes: int, ignored: float, ignore_index: int, weighted: bool) -> None:
    logits, labels = draw(classes, ignored, ignore_index)
    weight = torch.rand(labels.shape) if weighted else None
    expected = slow(logits, labels, weight, ignore_index)
    got = pixel_cross_entropy(logits, labels, weight, ignore_index)
    assert_close(got, expected)
    if expected.requires_grad:
        assert_close(torch.autograd.grad(got, logits), torch.autograd.grad(expected, logits))


@pytest.mark.parametrize('weighted', [False, True])
def test_all_ignored_is_zero_with_zero_gradient(weighted: bool) -> None:
    logits, _ = draw()
    labels = torch.full((2, 3, 4), 255)
    loss = pixel_cross_entropy(logits, labels, torch.ones(2, 3, 4) if weighted else None)
    assert loss == 0
    assert not torch.autograd.grad(loss, logits)[0].any()


def test_zero_weight_is_zero() -> None:
    logits, labels = draw()
    assert pixel_cross_entropy(logits, labels, torch.zeros(2, 3, 4)) == 0


def test_ignored_pixels_do_not_matter() -> None:
    logits, labels = draw()
    changed = torch.where(labels[:, None] == 255, torch.full_like(logits, 1e4), logits)
    assert_close(pixel_cross_entropy(changed, labels), pixel_cross_entropy(logits, labels))


def test_gradcheck() -> None:
    logits, labels = draw()
    logits = logits.detach().double().requires_grad_()
    weight = torch.rand(labels.shape, dtype=torch.float64)
    # fp32 inside, hence coarse.
    for args in ((labels,), (labels, weight)):
        assert gradcheck(
            lambda x, args=args: pixel_cross_entropy(x, *args), logits, eps=1e-2, atol=1e-3
        )


@pytest.mark.parametrize('autocast', [False, True])
def test_is_in_fp32(autocast: bool) -> None:
    logits, labels = draw()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        loss = pixel_cross_entropy(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    assert_close(loss, pixel_cross_entropy(logits.bfloat16().float(), labels))


@pytest.mark.parametrize('changes', [{}, dict(loss_weight=0.3), dict(loss_name='loss_other')])
def test_module(changes: dict[str, Any]) -> None:
    loss = MODELS.build(dict(type='PixelCrossEntropyLoss', **changes))
    logits, labels = draw(ignore_index=1)
    weight = torch.rand(labels.shape)
    expected = pixel_cross_entropy(logits, labels, weight, 1)
    assert_close(
        loss(logits, labels, weight=weight, ignore_index=1),
        changes.get('loss_weight', 1.0) * expected,
    )
    assert loss.loss_name == changes.get('loss_name', 'loss_ce')


def test_name_without_loss() -> None:
    with pytest.raises(
        ValueError,
        match="PixelCrossEntropyLoss.loss_name: expected a name that contains `loss`, but got 'ce'",
    ):
        PixelCrossEntropyLoss(loss_name='ce')
