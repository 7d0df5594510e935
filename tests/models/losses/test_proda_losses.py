"""Losses of ProDA against loops over pixels and classes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from mmseg_uda.models.losses import (
    divergence,
    negative_log_likelihood,
    reverse_cross_entropy,
)


def slow_rce(logits: Tensor, labels: Tensor) -> float:
    """-sum_c clamp(p_c) ln clamp(y_c), mean over valid pixels."""
    total, count = 0.0, 0
    prob = logits.softmax(1)
    for n, y, x in torch.ones_like(labels).nonzero().tolist():
        if labels[n, y, x] == 255:
            continue
        count += 1
        for c in range(logits.shape[1]):
            one_hot = 1.0 if int(labels[n, y, x]) == c else 0.0
            p = min(max(float(prob[n, c, y, x]), 1e-7), 1.0)
            total -= p * math.log(min(max(one_hot, 1e-4), 1.0))
    return total / count


@pytest.mark.parametrize('scale', [1.0, 30.0])
@pytest.mark.parametrize('classes', [2, 5])
def test_reverse_cross_entropy_equals_loops(classes: int, scale: float) -> None:
    logits, labels = scale * torch.randn(2, classes, 3, 4), torch.randint(0, classes, (2, 3, 4))
    labels[:, 0] = 255
    assert float(reverse_cross_entropy(logits, labels)) == pytest.approx(
        slow_rce(logits, labels), rel=1e-4
    )


def test_reverse_cross_entropy_by_hand() -> None:
    logits, labels = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1), torch.ones(1, 1, 1).long()
    assert_close(reverse_cross_entropy(logits, labels), torch.tensor(9.2103 / 4), atol=1e-4, rtol=0)
    sure = torch.tensor([-100.0, 100]).view(1, 2, 1, 1)
    assert float(reverse_cross_entropy(sure, labels)) == pytest.approx(0, abs=1e-5)
    assert reverse_cross_entropy(logits, labels * 255) == 0
    half = reverse_cross_entropy(logits.half(), labels)
    assert half.dtype is torch.float32


def test_negative_log_likelihood_is_smallest_for_equal_classes() -> None:
    assert_close(negative_log_likelihood(torch.zeros(2, 5, 3, 4)), torch.tensor(math.log(5)))
    logits = torch.randn(2, 5, 3, 4)
    assert_close(negative_log_likelihood(logits), -logits.softmax(1).log().mean())
    assert negative_log_likelihood(logits) > math.log(5)


def slow_divergence(teacher: Tensor, logits: Tensor, valid: Tensor, form: str, per: str) -> float:
    student, total = logits.softmax(1), 0.0
    for n, _, y, x in valid.nonzero().tolist():
        for c in range(teacher.shape[1]):
            t, s = float(teacher[n, c, y, x]), float(student[n, c, y, x])
            total += (t * math.log(t) if t else 0) - t * (math.log(s) if form == 'kl' else s)
    return total / int(valid.sum()) / (teacher.shape[1] if per == 'element' else 1)


@pytest.mark.parametrize('form', ['kl', 'official'])
@pytest.mark.parametrize('per', ['element', 'pixel'])
def test_divergence_equals_loops(form: str, per: str) -> None:
    teacher, logits = torch.randn(2, 3, 4, 5).softmax(1), torch.randn(2, 3, 4, 5)
    teacher[:, 0, 0] = 0  # a class without probability
    valid = torch.rand(2, 1, 4, 5) < 0.6
    got = divergence(teacher, logits, valid, form, per)
    assert float(got) == pytest.approx(slow_divergence(teacher, logits, valid, form, per), rel=1e-4)
    everywhere = torch.ones_like(valid)
    assert_close(
        divergence(teacher, logits, None, form, per),
        divergence(teacher, logits, everywhere, form, per),
    )


def test_divergence_is_zero_for_equal_logits_up_to_a_constant() -> None:
    logits = torch.randn(1, 4, 3, 3)
    teacher = logits.softmax(1)
    assert_close(divergence(teacher, logits + 7), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert divergence(teacher, logits + torch.randn(1, 4, 1, 1)) > 1e-3
    assert divergence(teacher, logits, torch.zeros(1, 1, 3, 3, dtype=torch.bool)) == 0


def test_official_distillation_is_linear() -> None:
    """Its gradient is that of -mean p_t p_s."""
    teacher, logits = torch.randn(1, 3, 2, 2).softmax(1), torch.randn(1, 3, 2, 2).requires_grad_()
    grad = torch.autograd.grad(divergence(teacher, logits, form='official'), logits)[0]
    expected = torch.autograd.grad(-(teacher * logits.softmax(1)).mean(), logits)[0]
    assert_close(grad, expected)


def test_gradients() -> None:
    logits = torch.randn(1, 3, 2, 2, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([[[0, 1], [2, 255]]])
    teacher = torch.randn(1, 3, 2, 2, dtype=torch.float64).softmax(1)
    assert gradcheck(lambda x: reverse_cross_entropy(x, labels), logits)
    assert gradcheck(negative_log_likelihood, logits)
    assert gradcheck(lambda x: divergence(teacher, x), logits)
    assert gradcheck(lambda x: divergence(teacher, x, form='official', per='pixel'), logits)


def test_errors() -> None:
    with pytest.raises(ValueError, match="divergence.form: expected one of .* but got 'js'"):
        divergence(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), form='js')
    with pytest.raises(ValueError, match="divergence.per: expected one of .* but got 'image'"):
        divergence(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), per='image')
