"""The moving average of a student."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import toys
from mmcv.cnn.bricks.drop import DropPath
from mmengine.model import MomentumAnnealingEMA
from mmengine.runner.checkpoint import load_state_dict
from mmseg.registry import MODELS
from torch import nn
from torch.testing import assert_close

from mmseg_uda.models import EMATeacher


def student(**backbone: Any) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(toys.segmentor_cfg(**backbone))


def step(network: nn.Module) -> None:
    """Stands for one of the optimizer's."""
    with torch.no_grad():
        for param in network.parameters():
            param += 0.1 * torch.randn_like(param)


# ---------------------------------------------------------------------------------------- schedule


@pytest.mark.parametrize('alpha', [0.0, 0.5, 0.8, 0.99, 1.0])
def test_schedule(alpha: float) -> None:
    """After the step of iteration t, from 0: alpha_t = min(1 - 1/(t + 1), alpha)."""
    network = student()
    teacher = EMATeacher(network, alpha)
    expected = [param.detach().double() for param in network.parameters()]
    for t in range(8):
        step(network)
        teacher.update(network)
        now = min(1 - 1 / (t + 1), alpha)
        expected = [
            now * mean + (1 - now) * param.detach().double()
            for mean, param in zip(expected, network.parameters())
        ]
        if t == 0:  # alpha_0 = 0: a copy
            assert all(
                a.equal(b) for a, b in zip(teacher.module.parameters(), network.parameters())
            )
        for mean, reference in zip(teacher.module.parameters(), expected):
            assert_close(mean.double(), reference, atol=1e-6, rtol=0)
    assert int(teacher.steps) == 8


def test_parameters_are_those_of_mmengines_average() -> None:
    network = student()
    teacher = EMATeacher(network, 0.8)
    reference = MomentumAnnealingEMA(network, momentum=1 - 0.8, gamma=1)
    for _ in range(8):
        step(network)
        teacher.update(network)
        reference.update_parameters(network)
    assert_close(list(teacher.parameters()), list(reference.parameters()), atol=1e-6, rtol=0)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_one_call_for_all_tensors_equals_one_call_for_each(dtype: torch.dtype) -> None:
    """Bit by bit, in any memory format."""
    network = student().to(dtype, memory_format=torch.channels_last)
    teacher = EMATeacher(network, 0.7)
    expected = [param.clone() for param in teacher.module.parameters()]
    for t in range(6):
        step(network)
        teacher.update(network)
        momentum = torch.tensor(1 / (t + 1), dtype=torch.float64).clamp(min=1 - 0.7)
        for mine, theirs in zip(expected, network.parameters()):
            mine.lerp_(theirs.detach(), momentum.to(dtype))
    assert_close(list(teacher.module.parameters()), expected, atol=0, rtol=0)


def test_frozen_parameters_and_double_precision() -> None:
    network = student().double()
    network.backbone.stem.requires_grad_(False)
    teacher = EMATeacher(network)
    for _ in range(3):
        teacher.update(network)
    assert teacher.module.backbone.stem.weight.equal(network.backbone.stem.weight)
    assert teacher.module.backbone.stem.weight.dtype is torch.float64


# ------------------------------------------------------------------------------------------- state


def test_batch_norm_statistics_are_its_own() -> None:
    network = student(batch_norm=True)
    network.train()(torch.randn(2, 3, *toys.SIZE))
    teacher = EMATeacher(network).train()
    assert teacher.module.backbone.norm.running_mean.equal(network.backbone.norm.running_mean)
    network(torch.randn(2, 3, *toys.SIZE) + 1)
    before = teacher.module.backbone.norm.running_mean.clone()
    teacher.update(network)
    assert teacher.module.backbone.norm.running_mean.equal(before)
    teacher(torch.randn(2, 3, *toys.SIZE) - 1)
    after = teacher.module.backbone.norm.running_mean
    assert not after.equal(before)
    assert not after.equal(network.backbone.norm.running_mean)
    teacher.copy_from(network)
    assert teacher.module.backbone.norm.running_mean.equal(network.backbone.norm.running_mean)


def test_state_is_complete() -> None:
    network = student(batch_norm=True)
    teacher = EMATeacher(network)
    for _ in range(3):
        step(network)
        teacher.update(network)
    twin = EMATeacher(student(batch_norm=True))
    load_state_dict(twin, copy.deepcopy(teacher.state_dict()), strict=True)
    assert {key.split('.')[0] for key in teacher.state_dict()} == {'module', 'steps'}
    for each in (teacher, twin):
        torch.manual_seed(5)
        second = copy.deepcopy(network)
        for _ in range(3):
            step(second)
            each.update(second)
    assert_close(twin.state_dict(), teacher.state_dict(), atol=0, rtol=0)


@pytest.mark.parametrize('mode', ['train', 'eval'])
def test_mode(mode: str) -> None:
    teacher = EMATeacher(student(), mode=mode)
    training = mode == 'train'
    for outer in (None, True):
        if outer:
            teacher.eval()
            assert not any(module.training for module in teacher.modules())
            teacher.train()
        assert {module.training for module in teacher.module.modules()} == {training}


def test_batch_statistics_without_dropout() -> None:
    """The class of dropout does not matter: mmcv's DropPath, torch's, or that inside attention."""
    network = student(batch_norm=True, dropout=0.5)
    network.backbone.layer = nn.Sequential(network.backbone.layer, DropPath(0.5))
    teacher = EMATeacher(network, mode='batch_statistics')
    images = torch.randn(3, 3, *toys.SIZE) + 1
    norm = teacher.module.backbone.norm
    before = norm.running_mean.clone()
    expected = teacher(images)
    assert not norm.running_mean.equal(before)
    for _ in range(3):
        assert_close(teacher(images), expected, atol=0, rtol=0)
    maps = teacher.module.backbone.stem(images)
    mean, var = maps.mean((0, 2, 3)), maps.var((0, 2, 3), unbiased=False)
    by_hand = (maps - mean.view(1, -1, 1, 1)) / (var.view(1, -1, 1, 1) + norm.eps).sqrt()
    assert_close(norm(maps), by_hand, atol=1e-5, rtol=1e-4)
    attention = nn.MultiheadAttention(4, 2, dropout=0.9)
    teacher.module.add_module('attention', attention)
    teacher.train()
    x = torch.randn(5, 1, 4)
    assert_close(attention(x, x, x)[0], attention(x, x, x)[0], atol=0, rtol=0)
    assert not any(module.training for module in teacher.eval().modules())


def test_no_gradients() -> None:
    network = student()
    teacher = EMATeacher(network)
    assert not any(param.requires_grad for param in teacher.parameters())
    assert all(param.requires_grad for param in network.parameters())
    images = torch.randn(2, 3, *toys.SIZE, requires_grad=True)
    assert not teacher(images).requires_grad


def test_attention_hooks_become_the_teachers() -> None:
    """A forward hook is bound to its own network, in the copy too."""
    torch.manual_seed(0)
    network = MODELS.build(toys.attended_cfg())
    teacher = EMATeacher(network)
    attention = teacher.module.attention
    (hook,) = teacher.module.backbone._forward_hooks.values()
    assert hook.__self__ is attention
    assert attention is not network.attention
    images = torch.randn(2, 3, *toys.SIZE)
    before = teacher(images)
    with network.attention.record() as seen, torch.no_grad():
        step(network)  # would be felt through the student's discriminator
        teacher(images)
    assert not hasattr(seen, 'features')
    assert teacher(images).equal(before)
    for param in attention.discriminator.parameters():
        nn.init.constant_(param, 0.5)
    assert not teacher(images).equal(before)
    teacher.update(network)
    assert_close(
        teacher.state_dict(prefix=''),
        {
            **{f'module.{key}': value for key, value in network.state_dict().items()},
            'steps': torch.tensor(1),
        },
    )


# ------------------------------------------------------------------------------------- predictions


def test_begins_with_the_students_logits() -> None:
    network = student()
    images = torch.randn(2, 3, *toys.SIZE)
    logits = EMATeacher(network)(images)
    assert logits.shape == (2, toys.NUM_CLASSES, 8, 12)
    assert_close(logits, network(images).detach())


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(alpha=1.5), r'EMATeacher.alpha: expected a number in \[0, 1\], but got 1.5'),
        (
            dict(mode='frozen'),
            "EMATeacher.mode: expected one of .'train', 'eval', 'batch_statistics'., but got",
        ),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        EMATeacher(student(), **changes)
