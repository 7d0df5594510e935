"""Both sides of the domain game."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmseg_uda.models.losses import AdversarialLoss
from mmseg_uda.models.losses.adversarial_loss import SOURCE_LABEL, TARGET_LABEL

MODES = ('bce', 'least_squares')


def slow(score: Tensor, label: float, mode: str) -> float:
    """Mean over the map of -log of the probability of the label, or of the squared difference."""
    total = 0.0
    for value in score.flatten().tolist():
        if mode == 'bce':
            target = 1 / (1 + math.exp(-value))
            total -= math.log(target if label else 1 - target)
        else:
            total += (value - label) ** 2
    return total / score.numel()


def test_labels() -> None:
    assert (SOURCE_LABEL, TARGET_LABEL) == (0.0, 1.0)


def test_undecided_by_hand() -> None:
    undecided = torch.zeros(2, 1, 3, 4)
    bce = AdversarialLoss(loss_weight=1.0)
    assert_close(bce.generator_loss(undecided), torch.tensor(math.log(2)))
    # Half of log 2 for the source, half of it for the target.
    assert_close(bce.discriminator_loss(undecided, undecided), torch.tensor(math.log(2)))
    squares = AdversarialLoss('least_squares', loss_weight=1.0)
    assert_close(squares.generator_loss(undecided + 0.5), torch.tensor(0.25))
    assert_close(squares.discriminator_loss(undecided + 0.5, undecided + 0.5), torch.tensor(0.25))
    assert_close(squares.discriminator_loss(undecided, undecided), torch.tensor(0.5))


@pytest.mark.parametrize('mode', MODES)
def test_sides(mode: str) -> None:
    low, high = torch.full((1, 1, 2, 2), -9.0), torch.full((1, 1, 2, 2), 9.0)
    if mode == 'least_squares':
        low, high = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    loss = AdversarialLoss(mode)
    assert loss.discriminator_loss(low, high) < 1e-3 < loss.discriminator_loss(high, low)
    assert loss.generator_loss(low) < 1e-6 < loss.generator_loss(high)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize(
    ('loss_weight', 'disc_weight'), [(1e-3, 0.5), (1.0, 1.0), (0.0, 0.0), (0.2, 3.0)]
)
def test_equals_loops(mode: str, loss_weight: float, disc_weight: float) -> None:
    source, target = torch.randn(2, 1, 2, 3), 2 * torch.randn(1, 1, 4, 5)  # sizes may differ
    loss = AdversarialLoss(mode, loss_weight, disc_weight)
    assert float(loss.generator_loss(target)) == pytest.approx(
        loss_weight * slow(target, 0, mode), rel=1e-5
    )
    assert float(loss.discriminator_loss(source, target)) == pytest.approx(
        disc_weight * (slow(source, 0, mode) + slow(target, 1, mode)), rel=1e-5
    )


@pytest.mark.parametrize('mode', MODES)
def test_at_the_boundary_both_labels_cost_the_same(mode: str) -> None:
    boundary = AdversarialLoss(mode).boundary
    source, above = (slow(torch.tensor([boundary + step]), 0, mode) for step in (0, 0.1))
    target, below = (slow(torch.tensor([boundary + step]), 1, mode) for step in (0, 0.1))
    assert source == pytest.approx(target)
    assert above > below


def test_defaults_are_those_of_the_paper() -> None:
    loss = AdversarialLoss()
    assert (loss.mode, loss.loss_weight, loss.disc_weight) == ('bce', 1e-3, 0.5)


@pytest.mark.parametrize('mode', MODES)
def test_gradcheck(mode: str) -> None:
    loss = AdversarialLoss(mode, 1.0)
    source, target = (
        torch.randn(1, 1, 2, 2, dtype=torch.float64).requires_grad_() for _ in range(2)
    )
    assert gradcheck(loss.generator_loss, target)
    assert gradcheck(loss.discriminator_loss, (source, target))


def test_sure_scores_stay_finite() -> None:
    score = torch.tensor([[[[1e4, -1e4]]]], requires_grad=True)
    loss = AdversarialLoss(loss_weight=1.0).generator_loss(score)
    assert_close(loss, torch.tensor(5e3))
    assert torch.autograd.grad(loss, score)[0].isfinite().all()


def test_unknown_mode() -> None:
    with pytest.raises(
        ValueError,
        match=r"AdversarialLoss.mode: expected one of \('bce', 'least_squares'\), but got 'hinge'",
    ):
        AdversarialLoss('hinge')
