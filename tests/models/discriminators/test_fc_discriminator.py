"""The discriminator of AdaptSegNet."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.models.discriminators import FCDiscriminator


def slow_conv(layer: nn.Conv2d, inputs: Tensor, stride: int, padding: int) -> Tensor:
    """Output by output."""
    padded = nn.functional.pad(inputs, (padding,) * 4)
    size = layer.weight.shape[2]
    rows = range(0, padded.shape[2] - size + 1, stride)
    columns = range(0, padded.shape[3] - size + 1, stride)
    return torch.stack(
        [
            torch.stack(
                [
                    (padded[:, None, :, y : y + size, x : x + size] * layer.weight).sum((2, 3, 4))
                    + layer.bias
                    for x in columns
                ],
                2,
            )
            for y in rows
        ],
        2,
    )


def slow(
    model: FCDiscriminator, inputs: Tensor, stride: int = 2, padding: int = 1, slope: float = 0.2
) -> Tensor:
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for i, layer in enumerate(convolutions):
        inputs = slow_conv(layer, inputs, stride, padding)
        if i + 1 < len(convolutions):
            inputs = torch.where(inputs > 0, inputs, slope * inputs)
    return inputs


def test_is_that_of_the_paper() -> None:
    model = FCDiscriminator(19)
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 1]
    assert all(
        layer.kernel_size == (4, 4) and layer.stride == (2, 2) and layer.padding == (1, 1)
        for layer in convolutions
    )
    assert sum(p.numel() for p in model.parameters()) == 2_781_121
    with torch.device('meta'):
        assert FCDiscriminator(19)(torch.zeros(1, 19, 512, 1024)).shape == (1, 1, 16, 32)


@pytest.mark.parametrize(
    'changes',
    [
        {},
        dict(kernel_size=3),
        dict(stride=1),
        dict(padding=2),
        dict(negative_slope=0.5),
        dict(channels=(3,)),
        dict(channels=()),
    ],
)
def test_equals_loops(changes: dict[str, Any]) -> None:
    model = FCDiscriminator(**{'in_channels': 2, 'channels': (3, 2), **changes})
    names = dict(stride='stride', padding='padding', slope='negative_slope')
    inputs = torch.randn(2, 2, 12, 17)
    with torch.no_grad():
        expected = slow(
            model, inputs, **{own: changes[name] for own, name in names.items() if name in changes}
        )
        assert_close(model(inputs), expected)
    assert expected.shape[1] == 1


def test_every_parameter_and_the_input_get_a_gradient() -> None:
    model = FCDiscriminator(4, channels=(4, 4))
    inputs = torch.rand(1, 4, 16, 16).requires_grad_()
    model(inputs).square().mean().backward()
    for name, parameter in [*model.named_parameters(), ('inputs', inputs)]:
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_input_is_not_changed() -> None:
    inputs = torch.randn(1, 4, 16, 16)
    before = inputs.clone()
    FCDiscriminator(4, channels=())(inputs)
    FCDiscriminator(4, channels=(4,))(inputs)
    assert torch.equal(inputs, before)


def test_initialisation_by_config() -> None:
    model = MODELS.build(
        dict(
            type='FCDiscriminator',
            in_channels=4,
            channels=(4,),
            init_cfg=dict(type='Constant', layer='Conv2d', val=0.5),
        )
    )
    model.init_weights()
    assert all(
        (layer.weight == 0.5).all() for layer in model.modules() if isinstance(layer, nn.Conv2d)
    )


def test_wrong_channels() -> None:
    with pytest.raises(ValueError, match=r'expected 3 channels, but got .* 5; write in_channels=5'):
        FCDiscriminator(3)(torch.zeros(1, 5, 64, 64))
