"""Weighting of the source's errors: the risk of known densities, the control variate by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mmseg_uda.evaluation.importance_weighting import (
    GREATEST_WEIGHT,
    controlled_risk,
    density_ratio,
    fit_domain_classifier,
    importance_weighted_risk,
)


def normal(seed: int, count: int, mean: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + torch.randn(count, 2, generator=generator, dtype=torch.float64)


def test_ratio_of_two_normal_distributions() -> None:
    """Of N(0, I) and N(0.5, I) the log ratio is 0.5 (x + y) - 0.25."""
    source, target = normal(0, 40000, 0), normal(1, 20000, 0.5)
    where = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-1.0, 0.5]], dtype=torch.float64)
    expected = (0.5 * where.sum(1) - 0.25).exp()
    torch.testing.assert_close(density_ratio(where, source, target), expected, rtol=0.05, atol=0)


def test_classifier_is_at_the_minimum() -> None:
    source, target = normal(2, 300, 0), normal(3, 200, 1)
    weight, bias = fit_domain_classifier(source, target)

    def objective(weight: Tensor, bias: Tensor) -> float:
        wrong = [math.log1p(math.exp(float(x @ weight + bias))) for x in source]
        wrong += [math.log1p(math.exp(-float(x @ weight + bias))) for x in target]
        return sum(wrong) / len(wrong) + 1e-3 * float(weight.square().sum())

    least = objective(weight, bias)
    for change in (-0.01, 0.01):
        for i in range(2):
            moved = weight.clone()
            moved[i] += change
            assert objective(moved, bias) > least
        assert objective(weight, bias + change) > least


def test_control_variate_by_hand() -> None:
    loss, weight = [0.0, 1.0, 0.0, 1.0, 1.0], [0.5, 2.0, 1.0, 0.25, 3.0]
    product = [one * other for one, other in zip(loss, weight)]
    mean_product, mean_weight = sum(product) / 5, sum(weight) / 5
    pairs = list(zip(product, weight))
    covariance = sum((p - mean_product) * (w - mean_weight) for p, w in pairs) / 4
    variance = sum((w - mean_weight) ** 2 for w in weight) / 4
    eta = -covariance / variance
    expected = mean_product + eta * mean_weight - eta
    found = controlled_risk(torch.tensor(loss), torch.tensor(weight))
    assert found == pytest.approx(expected, rel=1e-5)
    # A loss that is the same everywhere is known, whatever the weights are.
    assert controlled_risk(torch.full((5,), 0.3), torch.tensor(weight)) == pytest.approx(0.3)


def two_kinds(count: int, easy: float, seed: int) -> Tensor:
    """Softmax of pixels, a share of which is easy for the network."""
    generator = torch.Generator().manual_seed(seed)
    is_easy = torch.rand(count, generator=generator) < easy
    logits = torch.randn(count, 3, generator=generator)
    logits[:, 0] += torch.where(is_easy, 8.0, 2.0)
    return logits.softmax(1)


def test_hard_pixels_of_the_source_count_for_a_hard_target() -> None:
    """A network is wrong where it is unsure, and the target has more of such pixels."""
    source, target = two_kinds(8000, 0.9, 0), two_kinds(8000, 0.4, 1)
    wrong = source[:, 0] < 0.9
    held_out = torch.arange(8000) % 2 == 1
    truth = (target[:, 0] < 0.9).float().mean().item()
    plain = wrong.float().mean().item()
    weighted = importance_weighted_risk(source, wrong, held_out, target)
    assert abs(plain - truth) > 0.2
    assert weighted == pytest.approx(truth, abs=0.07)
    # Where the domains are alike, it is the source's error rate.
    alike = importance_weighted_risk(source, wrong, held_out, two_kinds(8000, 0.9, 2))
    assert alike == pytest.approx(plain, abs=0.01)


def test_separable_domains_and_certain_networks_stay_finite() -> None:
    source, target = torch.eye(3)[[0] * 50].double(), torch.eye(3)[[1] * 40].double()
    held_out = torch.arange(50) % 2 == 0
    wrong = torch.arange(50) % 5 == 0
    risk = importance_weighted_risk(source, wrong, held_out, target)
    assert math.isfinite(risk)
    far = density_ratio(normal(4, 10, 30), normal(5, 100, 0), normal(6, 100, 5))
    torch.testing.assert_close(far, torch.full((10,), GREATEST_WEIGHT, dtype=torch.float64))
