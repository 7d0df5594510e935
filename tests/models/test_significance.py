"""CAMix's significance mask against a slow re-derivation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import toys
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models import EMATeacher, EntropySignificance

SHAPE = (2, 3, *toys.SIZE)


@pytest.fixture
def teacher() -> EMATeacher:
    torch.manual_seed(0)
    student = MODELS.build(toys.segmentor_cfg())
    with torch.no_grad():
        for param in student.parameters():
            param += 0.3 * torch.randn_like(param)
    return EMATeacher(student)


def slow_entropy(teacher: EMATeacher, images: Tensor, noise: list[Tensor]) -> Tensor:
    """One copy at a time, in double precision."""
    means = sum(teacher(images + each).double().softmax(1) for each in noise) / len(noise)
    return -sum(p * p.log() for p in means.unbind(1))


@pytest.mark.parametrize(('passes', 'chunk'), [(1, 1), (4, 2), (5, 2), (3, 8)])
def test_entropy(teacher: EMATeacher, passes: int, chunk: int) -> None:
    images = torch.randn(SHAPE)
    significance = EntropySignificance(passes, noise_std=0.5, noise_clip=0.6, chunk=chunk)
    entropy = significance.entropy(teacher, images, toys.generators(2))
    noise = []
    draws = toys.generators(2)
    for first in range(0, passes, chunk):
        copies = (min(chunk, passes - first), *SHAPE[1:])
        drawn = torch.stack([torch.randn(copies, generator=each) for each in draws], 1)
        noise += (0.5 * drawn).clamp(-0.6, 0.6)
    assert_close(entropy.double(), slow_entropy(teacher, images, noise), atol=1e-5, rtol=0)
    assert not entropy.requires_grad
    assert float(entropy.min()) > 0
    assert float(entropy.max()) < math.log(toys.NUM_CLASSES)


def test_entropy_of_certain_and_of_ignorant_teachers(teacher: EMATeacher) -> None:
    """0, also where probabilities are 0, and ln C."""
    convolutions = [
        conv for conv in teacher.module.decode_head.modules() if isinstance(conv, torch.nn.Conv2d)
    ]
    images, significance = torch.randn(SHAPE), EntropySignificance(2)
    for conv in convolutions:
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    assert_close(significance.entropy(teacher, images), torch.full((2, 8, 12), math.log(4)))
    torch.nn.init.constant_(convolutions[0].bias[0:1], 200.0)
    assert not significance.entropy(teacher, images).any()
    mask = significance(teacher, images, 0)
    assert_close(mask, torch.ones(2, *toys.SIZE))  # certain pixels count
    assert float(mask.max()) <= 1


def test_threshold() -> None:
    significance = EntropySignificance(beta=0.6, gamma=-3.0, ramp_iters=50)
    entropy = torch.tensor([[[0.2, 0.7]]])
    values = [significance.threshold(entropy, t, 19) for t in range(60)]
    for t, value in enumerate(values):
        progress = t / 50 if t < 50 else 1
        expected = (0.6 + 0.4 * math.exp(-3 * (1 - progress) ** 2)) * math.log(19)
        assert value == pytest.approx(expected)
    assert values == sorted(values)
    assert values[0] == pytest.approx((0.6 + 0.4 * math.exp(-3)) * math.log(19))
    assert values[50] == values[59] == pytest.approx(math.log(19))
    batch = EntropySignificance(beta=0.6, gamma=-3.0, ramp_iters=50, bound='batch')
    assert_close(batch.threshold(entropy, 0, 19), torch.tensor((0.6 + 0.4 * math.exp(-3)) * 0.7))


def test_defaults_are_the_papers() -> None:
    significance = EntropySignificance()
    assert (significance.passes, significance.noise_std, significance.noise_clip) == (8, 0.1, 0.2)
    begin = significance.threshold(torch.zeros(1), 0, 19)
    assert begin == pytest.approx((0.75 + 0.25 * math.exp(-5)) * math.log(19))
    assert significance.threshold(torch.zeros(1), 129999, 19) < math.log(19)
    assert significance.threshold(torch.zeros(1), 130000, 19) == math.log(19)


@pytest.mark.parametrize('interpolation', ['bilinear', 'nearest'])
@pytest.mark.parametrize('align_corners', [True, False])
def test_mask(teacher: EMATeacher, interpolation: str, align_corners: bool) -> None:
    """[entropy < H], at the size of the image as the head resizes; fractions if bilinear."""
    teacher.module.align_corners = align_corners
    images = torch.randn(SHAPE)
    options: dict[str, Any] = dict(passes=2, beta=0.5, ramp_iters=10)
    torch.manual_seed(0)
    mask = EntropySignificance(**options, interpolation=interpolation)(teacher, images, 6)
    torch.manual_seed(0)
    entropy = EntropySignificance(**options).entropy(teacher, images)
    small = entropy < (0.5 + 0.5 * math.exp(-5 * 0.4**2)) * math.log(4)
    assert 0 < small.float().mean() < 1
    align = align_corners if interpolation == 'bilinear' else None
    expected = resize(
        small[:, None].float(), size=toys.SIZE, mode=interpolation, align_corners=align
    )[:, 0]
    assert_close(mask, expected.clamp(max=1), atol=0, rtol=0)
    assert ((mask > 0) & (mask < 1)).any() == (interpolation == 'bilinear')


def test_noise_of_an_image_is_its_own(teacher: EMATeacher) -> None:
    images, significance = torch.randn(SHAPE), EntropySignificance(3, noise_std=0.5)
    together = significance.entropy(teacher, images, toys.generators(2))
    alone = significance.entropy(teacher, images[1:], toys.generators(2)[1:])
    assert_close(together[1:], alone)
    torch.manual_seed(0)
    drawn = significance.entropy(teacher, images)
    torch.manual_seed(0)
    assert_close(significance.entropy(teacher, images), drawn, atol=0, rtol=0)
    assert not drawn.equal(together)


def test_later_iterations_let_more_pixels_count(teacher: EMATeacher) -> None:
    images, shares = torch.randn(SHAPE), []
    for iteration in (0, 60, 100):
        torch.manual_seed(0)
        significance = EntropySignificance(2, beta=0.5, ramp_iters=100)
        shares.append(float(significance(teacher, images, iteration).mean()))
    assert shares[0] < shares[1] < shares[2] == 1


def test_batch_norm_learns_nothing_from_noise() -> None:
    torch.manual_seed(0)
    teacher = EMATeacher(MODELS.build(toys.segmentor_cfg(batch_norm=True)))
    norm = teacher.module.backbone.norm
    EntropySignificance(2, noise_std=3.0, noise_clip=9.0).entropy(teacher, torch.randn(SHAPE))
    assert not norm.running_mean.any()
    assert norm.momentum == 0.1


@pytest.mark.parametrize(
    ('key', 'value', 'right'),
    [
        ('passes', 0, 'an integer of at least 1'),
        ('chunk', 0, 'an integer of at least 1'),
        ('ramp_iters', 0, 'an integer of at least 1'),
        ('noise_std', -1.0, r'a number in \[0, inf\)'),
        ('noise_clip', -1.0, r'a number in \[0, inf\)'),
        ('beta', 1.5, 'a number in .0, 1.'),
        ('gamma', 5.0, r'a number in \(-inf, 0\]'),
        ('bound', 'image', "one of .'classes', 'batch'."),
        ('interpolation', 'area', "one of .'bilinear', 'nearest'."),
    ],
)
def test_wrong_arguments(key: str, value: Any, right: str) -> None:
    with pytest.raises(ValueError, match=f'{key}: expected {right}, but got {value!r}'):
        EntropySignificance(**{key: value})
