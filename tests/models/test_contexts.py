"""States of a network that last for a block of code."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmseg_uda.models.contexts import frozen, frozen_bn_stats


def test_frozen_passes_gradients_through_and_keeps_none() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    module[1].bias.requires_grad_(False)
    x = torch.ones(1, 2, requires_grad=True)
    with frozen(module):
        out = module(x).sum()
        assert not any(param.requires_grad for param in module.parameters())
    out.backward()
    assert x.grad.abs().sum() > 0
    assert all(param.grad is None for param in module.parameters())
    assert [param.requires_grad for param in module.parameters()] == [True, True, True, False]


def test_frozen_thaws_after_an_error() -> None:
    module = nn.Linear(1, 1)
    with pytest.raises(RuntimeError), frozen(module):
        raise RuntimeError
    assert module.weight.requires_grad


@pytest.mark.parametrize('momentum', [0.1, 0.3])
def test_untracked_normalises_by_the_batch_and_keeps_statistics(momentum: float) -> None:
    module = nn.Sequential(nn.BatchNorm2d(2, momentum=momentum), nn.Conv2d(2, 1, 1))
    x = torch.randn(3, 2, 4, 4) + 5
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with frozen_bn_stats(module):
        hidden = module[0](x)
    assert_close(hidden.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    for key in ('0.running_mean', '0.running_var'):
        assert module.state_dict()[key].equal(before[key])
    module(x)
    assert_close(module[0].running_mean, momentum * x.mean((0, 2, 3)))


def test_untracked_ends_with_an_error() -> None:
    module = nn.BatchNorm2d(1, momentum=0.2)
    with pytest.raises(RuntimeError), frozen_bn_stats(module):
        raise RuntimeError
    assert module.momentum == 0.2
