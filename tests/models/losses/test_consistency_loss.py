"""Consistency losses against loops over pixels."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.losses import ConsistencyLoss

KINDS = ('ce', 'mse')
NORMALIZERS = ('valid', 'significance', 'significance_of_valid', 'official')


def by_loops(
    kind: str, normalize: str, logits: Tensor, labels: Tensor, weight: Tensor, significance: Tensor
) -> float:
    """The table of the docstring, pixel by pixel."""
    total = divisor = 0.0
    for n, y, x in product(*map(range, labels.shape)):
        label, scores = int(labels[n, y, x]), logits[n, :, y, x].tolist()
        mass = sum(math.exp(score) for score in scores)
        prob = [math.exp(score) / mass for score in scores]
        distance = 0.0
        if label != 255:
            distance = (
                -math.log(prob[label])
                if kind == 'ce'
                else sum((p - (c == label)) ** 2 for c, p in enumerate(prob)) / len(prob)
            )
        u, w = float(significance[n, y, x]), float(weight[n, y, x])
        total += w * distance * (1 if normalize == 'official' else u)
        divisor += {
            'official': 1,
            'valid': label != 255,
            'significance': u,
            'significance_of_valid': u * (label != 255),
        }[normalize]
    return total / divisor


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits = 3 * torch.randn(2, 4, 3, 5, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 3, 5))
    labels[:, 0, :3] = 255
    return logits, labels, torch.rand(2, 3, 5).double(), torch.rand(2, 3, 5).double().round()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('normalize', NORMALIZERS)
def test_values(kind: str, normalize: str) -> None:
    logits, labels, weight, significance = inputs()
    ones = torch.ones_like(weight)
    loss = ConsistencyLoss(kind, normalize)
    for w, u in product((weight, None), (significance, None)):
        expected = by_loops(
            kind, normalize, logits, labels, ones if w is None else w, ones if u is None else u
        )
        assert_close(loss(logits, labels, w, u).item(), expected)
    fractions = torch.rand_like(weight)  # as at borders of the upsampled mask
    assert_close(
        loss(logits, labels, weight, fractions).item(),
        by_loops(kind, normalize, logits, labels, weight, fractions),
    )


def test_by_hand() -> None:
    """Two pixels, both undecided between two classes; the one of weight 1/4 is insignificant."""
    logits, labels = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    weight, significance = torch.tensor([[[0.5, 0.25]]]), torch.tensor([[[1.0, 0.0]]])
    for normalize, expected in (
        ('significance', 0.5),
        ('significance_of_valid', 0.5),
        ('valid', 0.25),
        ('official', 0.375),
    ):
        loss = ConsistencyLoss('ce', normalize, loss_weight=2.0)
        assert_close(loss(logits, labels, weight, significance).item(), 2 * expected * math.log(2))
        loss = ConsistencyLoss('mse', normalize)
        assert_close(loss(logits, labels, weight, significance).item(), expected / 4)


@pytest.mark.parametrize('normalize', NORMALIZERS)
def test_squared_difference_from_the_unmixed_probabilities(normalize: str) -> None:
    """Pixel by pixel and class by class; labels, even ignored ones, play no part."""
    logits, labels, weight, significance = inputs()
    teacher = (2 * torch.randn_like(logits)).softmax(1)
    total = divisor = 0.0
    for n, y, x in product(*map(range, labels.shape)):
        scores = logits[n, :, y, x].tolist()
        mass = sum(math.exp(score) for score in scores)
        gaps = [math.exp(s) / mass - float(p) for s, p in zip(scores, teacher[n, :, y, x])]
        u, w = float(significance[n, y, x]), float(weight[n, y, x])
        total += w * sum(gap**2 for gap in gaps) / 4 * (1 if normalize == 'official' else u)
        divisor += u if normalize.startswith('significance') else 1
    loss = ConsistencyLoss('mse', normalize, target='unmixed_probability')
    found = loss(logits, labels, weight, significance, probabilities=teacher)
    assert_close(found.item(), total / divisor)
    if normalize == 'official':  # the published code: q times the mean over all numbers
        q = torch.full_like(weight, 0.3)
        found = loss(logits, labels, q, significance, probabilities=teacher)
        assert_close(found, 0.3 * (logits.softmax(1) - teacher).square().mean())
    with pytest.raises(
        ValueError,
        match=r"ConsistencyLoss.target: expected the teacher's probabilities, but got None",
    ):
        loss(logits, labels)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('normalize', NORMALIZERS)
def test_gradients(kind: str, normalize: str) -> None:
    logits, labels, weight, significance = inputs()
    loss = ConsistencyLoss(kind, normalize)
    assert torch.autograd.gradcheck(
        lambda x: loss(x, labels, weight, significance), (logits.requires_grad_(),)
    )


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('normalize', NORMALIZERS)
@pytest.mark.parametrize('nothing', ['labels', 'significance', 'weight'])
def test_nothing_that_counts(kind: str, normalize: str, nothing: str) -> None:
    """0 and a gradient of 0, not NaN; the official form does not look at U."""
    logits, labels, weight, significance = inputs()
    value = dict(labels=labels, significance=significance, weight=weight)[nothing]
    value.fill_(255 if nothing == 'labels' else 0)
    loss = ConsistencyLoss(kind, normalize)(logits.requires_grad_(), labels, weight, significance)
    loss.backward()
    expected = nothing == 'significance' and normalize == 'official'
    assert (float(loss.detach()) != 0) == expected
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert bool(logits.grad.any()) == expected


def test_other_ignore_index_and_precision() -> None:
    logits, labels = torch.randn(1, 3, 2, 2).bfloat16(), torch.zeros(1, 2, 2, dtype=torch.int64)
    labels[0, 0, 0] = 7
    loss = ConsistencyLoss(normalize='valid')(logits, labels, ignore_index=7)
    assert loss.dtype is torch.float32
    expected = -logits.float().log_softmax(1)[:, 0].flatten()[1:].mean()
    assert_close(loss, expected)


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(kind='kl'), "ConsistencyLoss.kind: expected one of .'ce', 'mse'., but got 'kl'"),
        (
            dict(target='unmixed_probability'),
            "ConsistencyLoss.target: expected 'label', because kind='ce' takes labels, but got",
        ),
        (
            dict(kind='mse', target='mixed'),
            "ConsistencyLoss.target: expected one of .'label', .* but got 'mixed'",
        ),
        (
            dict(normalize='mean'),
            "ConsistencyLoss.normalize: expected one of .'valid', .* but got 'mean'",
        ),
        (
            dict(loss_name='con'),
            "ConsistencyLoss.loss_name: expected a name that contains `loss`, but got 'con'",
        ),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ConsistencyLoss(**changes)


def test_name() -> None:
    assert ConsistencyLoss(loss_name='loss_src').loss_name == 'loss_src'
