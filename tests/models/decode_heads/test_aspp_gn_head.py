"""ProDA's classifier."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmseg_uda.models.contexts import capture_inputs
from mmseg_uda.models.decode_heads import ASPPGNHead


def head(**changes: bool) -> ASPPGNHead:
    built = ASPPGNHead(6, 32, num_classes=5, dilations=(1, 2), num_groups=4, **changes)
    built.init_weights()
    return built


def test_layers_by_hand() -> None:
    network, features = head().eval(), torch.randn(2, 6, 5, 7)
    norm = lambda module, x: nn.functional.group_norm(x, 4, module.gn.weight, module.gn.bias)  # noqa: E731
    branches = [norm(each, each.conv(features)).relu() for each in network.branches]
    assert [each.conv.dilation for each in network.branches] == [(1, 1), (1, 1), (2, 2)]
    assert [each.conv.kernel_size for each in network.branches] == [(1, 1), (3, 3), (3, 3)]
    joined = torch.cat(branches, 1)
    first, second = (each.conv for each in (network.excite.conv1, network.excite.conv2))
    assert first.out_channels == 96 // 16 + (-(96 // 16)) % 8  # mmseg rounds to 8
    gate = second(first(joined.mean((2, 3), keepdim=True)).relu()).sigmoid()
    expected = norm(network.bottleneck, network.bottleneck.conv(joined * gate))
    with capture_inputs(network.conv_seg) as captured:
        logits = network.forward((features,))
    assert_close(captured[0], expected)
    assert_close(logits, network.conv_seg(expected))
    assert network.conv_seg.bias is None


@pytest.mark.parametrize('input_norm', [False, True])
def test_every_parameter_gets_a_gradient(input_norm: bool) -> None:
    network = head(input_norm=input_norm).train()
    network.forward((torch.randn(2, 6, 9, 9),)).square().sum().backward()
    for name, param in network.named_parameters():
        assert param.grad is not None, name
        assert param.grad.isfinite().all(), name
    assert ('input_norm.weight' in dict(network.named_parameters())) == input_norm


def test_features_are_captured_after_dropout() -> None:
    network = head().train()
    with capture_inputs(network.conv_seg) as captured:
        for _ in range(20):
            network.forward((torch.randn(1, 6, 5, 5),))
    dropped = torch.cat(captured).flatten(2).eq(0).all(2).float().mean()
    assert 0.02 < dropped < 0.25  # one channel in ten
    with capture_inputs(network.conv_seg) as captured:
        pass
    network.forward((torch.randn(1, 6, 5, 5),))
    assert captured == []


def test_groups_divide_the_channels() -> None:
    with pytest.raises(
        ValueError, match='num_groups: expected a divisor of 10 channels, but got 4'
    ):
        ASPPGNHead(6, 10, num_classes=5, num_groups=4)
