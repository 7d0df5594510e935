"""Entropy of predictions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmseg_uda.models.losses import EntropyLoss, self_information
from mmseg_uda.structures import SegOutput


def entropy(logits: Tensor, **kwargs: float) -> Tensor:
    loss = EntropyLoss(**{'loss_weight': 1.0, **kwargs})(SegOutput((), logits, 'target', logits))
    assert list(loss) == ['loss_entropy']
    return loss['loss_entropy']


def slow(logits: Tensor) -> float:
    """-1 / (N h w log C) sum_nci p log p."""
    batch, classes, height, width = logits.shape
    total = 0.0
    for n in range(batch):
        for y in range(height):
            for x in range(width):
                exp = [math.exp(float(logits[n, c, y, x])) for c in range(classes)]
                total -= sum(e / sum(exp) * math.log(e / sum(exp)) for e in exp)
    return total / (batch * height * width * math.log(classes))


def test_by_hand() -> None:
    assert_close(entropy(torch.zeros(2, 5, 3, 3)), torch.tensor(1.0))  # uniform
    sure = torch.zeros(1, 3, 1, 1)
    sure[:, 0] = 500
    assert entropy(sure) == 0
    half = torch.tensor([0.0, 0.0, -500.0, -500.0]).view(1, 4, 1, 1)  # log 2 of log 4
    assert_close(entropy(half), torch.tensor(0.5))


@pytest.mark.parametrize('weight', [1e-3, 1.0, 0.0])
@pytest.mark.parametrize('classes', [2, 5])
def test_equals_loops(classes: int, weight: float) -> None:
    logits = 2 * torch.randn(2, classes, 3, 4)
    assert float(entropy(logits, loss_weight=weight)) == pytest.approx(
        weight * slow(logits), rel=1e-5
    )


def test_default_weight() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    loss = EntropyLoss()(SegOutput((), logits, 'target', logits))['loss_entropy']
    assert_close(loss, torch.tensor(1e-3))


def test_gradcheck() -> None:
    logits = torch.randn(1, 3, 2, 2, dtype=torch.float64).requires_grad_()
    assert gradcheck(entropy, logits, eps=1e-2, atol=1e-3)  # fp32 inside, hence coarse


def test_sure_predictions_have_finite_gradients() -> None:
    logits = torch.tensor([1e4, -1e4, 0.0]).view(1, 3, 1, 1).requires_grad_()
    assert torch.autograd.grad(entropy(logits), logits)[0].isfinite().all()


def test_domains() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    both = EntropyLoss(domains=['source', 'target'])
    for domain in ('source', 'target'):
        assert both(SegOutput((), logits, domain, logits))
    assert EntropyLoss()(SegOutput((), logits, 'source', logits)) == {}


def test_self_information_by_hand() -> None:
    prob = torch.tensor([0.5, 0.25, 0.25, 0.0]).view(1, 4, 1, 1)
    assert_close(self_information(prob).flatten(), torch.tensor([0.25, 0.25, 0.25, 0.0]))
    uniform = torch.full((1, 4, 1, 1), 0.25)
    assert_close(self_information(uniform).sum(1), torch.ones(1, 1, 1))  # only there


@pytest.mark.parametrize('classes', [2, 5])
def test_self_information_is_bounded(classes: int) -> None:
    values = self_information(
        torch.linspace(0, 1, 1001).view(1, 1, 1, -1).expand(1, classes, 1, -1)
    )
    assert float(values.min()) >= 0
    assert float(values.max()) == pytest.approx(1 / (math.e * math.log(classes)), rel=1e-5)


def test_self_information_gradients() -> None:
    prob = (0.05 + torch.rand(2, 3, 2, 2, dtype=torch.float64)).requires_grad_()
    assert gradcheck(self_information, prob)
    zero = torch.zeros(1, 2, 1, 1).requires_grad_()
    assert torch.autograd.grad(self_information(zero).sum(), zero)[0].isfinite().all()
