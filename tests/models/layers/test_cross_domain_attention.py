"""The two modules of CDANet against loops over source positions i and target positions j."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from mmseg_uda.models.layers import CrossDomainChannelAttention, CrossDomainSpatialAttention

CHANNELS = 4


def pair(size_target: tuple[int, int] = (2, 2)) -> tuple[Tensor, Tensor]:
    shapes = (2, CHANNELS, 2, 3), (2, CHANNELS, *size_target)
    source, target = (torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes)
    return source, target


def spatial(weight: float = 1.0, reduction: int = 2) -> CrossDomainSpatialAttention:
    """With weights large enough for energies that tell positions apart."""
    module = CrossDomainSpatialAttention(CHANNELS, reduction, weight).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.7)
    return module


def slow_spatial(
    module: CrossDomainSpatialAttention, source: Tensor, target: Tensor, weight: float
) -> tuple[Tensor, Tensor]:
    """A'_s = A_s + lambda sum_j G_ij v_t[j], A'_t = A_t + lambda sum_i G'_ij v_s[i]."""

    def project(layer: nn.Conv2d, pixels: Tensor) -> Tensor:
        return layer.weight[:, :, 0, 0] @ pixels + layer.bias[:, None]

    received_source, received_target = [], []
    for a_s, a_t in zip(source.flatten(2), target.flatten(2)):
        q, k = project(module.query, a_s), project(module.key, a_t)
        v_s, v_t = project(module.value, a_s), project(module.value, a_t)
        num_source, num_target = a_s.shape[1], a_t.shape[1]
        exp = [
            [torch.exp((q[:, i] * k[:, j]).sum()) for j in range(num_target)]
            for i in range(num_source)
        ]
        received_source.append(
            torch.stack(
                [
                    sum(exp[i][j] * v_t[:, j] for j in range(num_target)) / sum(exp[i])
                    for i in range(num_source)
                ],
                1,
            )
        )
        received_target.append(
            torch.stack(
                [
                    sum(exp[i][j] * v_s[:, i] for i in range(num_source))
                    / sum(exp[i][j] for i in range(num_source))
                    for j in range(num_target)
                ],
                1,
            )
        )
    return (
        source + weight * torch.stack(received_source).view_as(source),
        target + weight * torch.stack(received_target).view_as(target),
    )


def slow_channel(source: Tensor, target: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """B'_s[i] = B_s[i] + xi sum_j P_ij B_t[j], B'_t[j] = B_t[j] + xi sum_i P'_ij B_s[i]."""
    new_source, new_target = source.clone(), target.clone()
    channels = range(CHANNELS)
    for n in range(len(source)):
        exp = [[torch.exp((source[n, i] * target[n, j]).sum()) for j in channels] for i in channels]
        for i in channels:
            new_source[n, i] = source[n, i] + weight * sum(
                exp[i][j] * target[n, j] for j in channels
            ) / sum(exp[i])
        for j in channels:
            new_target[n, j] = target[n, j] + weight * sum(
                exp[i][j] * source[n, i] for i in channels
            ) / sum(exp[i][j] for i in channels)
    return new_source, new_target


@pytest.mark.parametrize('weight', [0.0, 0.5, 1.0, 10.0])
@pytest.mark.parametrize('size_target', [(2, 2), (2, 3), (3, 3)])
def test_spatial_equals_loops(size_target: tuple[int, int], weight: float) -> None:
    module, (source, target) = spatial(weight), pair(size_target)
    got, expected = module(source, target), slow_spatial(module, source, target, weight)
    assert_close(got, expected)
    assert_close(module.to_target(source, target), expected[1])
    wanted = [source, target, *module.parameters()]
    seeds = [torch.randn_like(tensor) for tensor in expected]
    assert_close(
        torch.autograd.grad(got, wanted, seeds),
        torch.autograd.grad(expected, wanted, seeds, materialize_grads=True),
    )


@pytest.mark.parametrize('weight', [0.0, 0.5, 1.0, 10.0])
def test_channel_equals_loops(weight: float) -> None:
    module, (source, target) = CrossDomainChannelAttention(weight), pair((2, 3))
    got, expected = module(source, target), slow_channel(source, target, weight)
    assert_close(got, expected)
    assert_close(module.to_target(source, target), expected[1])
    seeds = [torch.randn_like(tensor) for tensor in expected]
    assert_close(
        torch.autograd.grad(got, (source, target), seeds),
        torch.autograd.grad(expected, (source, target), seeds),
    )
    assert not list(module.parameters())


def test_one_side_costs_two_products_of_three() -> None:
    source, target = (part.detach() for part in pair((2, 3)))
    module, flops = CrossDomainChannelAttention(), []
    for call in (module, module.to_target):
        with FlopCounterMode(display=False) as counter:
            call(source, target)
        flops.append(counter.get_total_flops())
    product = 2 * 2 * CHANNELS * CHANNELS * 6  # images, multiply and add, channels, positions
    assert flops == [3 * product, 2 * product]


def test_gradcheck() -> None:
    module, (source, target) = spatial(), pair()
    assert gradcheck(module, (source[:1], target[:1]))
    source, target = pair((2, 3))
    assert gradcheck(CrossDomainChannelAttention(), (source[:1], target[:1]))


def test_images_of_a_batch_do_not_mix() -> None:
    source, target = pair((2, 3))
    for module in (spatial(), CrossDomainChannelAttention()):
        both = module(source, target)
        for n in range(2):
            alone = module(source[n : n + 1], target[n : n + 1])
            assert_close([side[n : n + 1] for side in both], list(alone))


def test_weight_scales_what_is_received() -> None:
    source, target = pair((2, 3))
    module = spatial()
    for make in (
        lambda weight: setattr(module, 'weight', weight) or module,
        CrossDomainChannelAttention,
    ):
        once, twice = make(1.0)(source, target), make(2.0)(source, target)
        for side, one, two in zip((source, target), once, twice):
            assert_close(two - side, 2 * (one - side))
            assert (one - side).abs().max() > 1e-2


@pytest.mark.parametrize(('reduction', 'depth'), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_reduction_is_of_queries_and_keys(reduction: int, depth: int) -> None:
    module = CrossDomainSpatialAttention(CHANNELS, reduction)
    assert module.query.out_channels == module.key.out_channels == depth
    assert module.value.out_channels == CHANNELS


def test_initialisation() -> None:
    module = CrossDomainSpatialAttention(64)
    module.init_weights()
    for layer in (module.query, module.key, module.value):
        assert 0.008 < layer.weight.std() < 0.012
        assert not layer.bias.any()


def test_maps_are_the_weights_of_what_the_target_receives() -> None:
    module, (source, target) = spatial(), pair()
    positions = torch.tensor([3, 0])
    maps = module.maps(source, target, positions)
    assert maps.shape == (2, 2, 2, 3)
    assert not maps.requires_grad
    assert_close(maps.sum((2, 3)), torch.ones(2, 2))
    values = module.value(source)
    received = module.to_target(source, target) - target
    for row, position in enumerate(positions):
        gathered = (maps[:, row, None].double() * values).sum((2, 3))
        assert_close(gathered, received.flatten(2)[..., position], atol=1e-5, rtol=0)
