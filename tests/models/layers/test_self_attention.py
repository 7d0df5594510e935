"""SAM's module against loops over its equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.layers import SelfAttentionModule

ARGS = [
    dict(),
    dict(out_channels=2),
    dict(kernel_size=3),
    dict(with_conv=False),
    dict(chunk_elements=1),
    dict(chunk_elements=40),
]


def make(**kwargs: Any) -> SelfAttentionModule:
    return MODELS.build(dict(type='SelfAttentionModule', in_channels=3, **kwargs)).double()


def slow(feature: Tensor, value: Tensor) -> Tensor:
    """Eq. (4)-(7), pixel by pixel."""
    out = torch.zeros_like(value)
    pixels = [(y, x) for y in range(value.shape[2]) for x in range(value.shape[3])]
    for n, (f, v) in enumerate(zip(feature, value)):
        for i in pixels:
            similar = [
                max(0.0, float(F.cosine_similarity(f[:, i[0], i[1]], f[:, j[0], j[1]], 0)))
                for j in pixels
            ]
            for j, weight in zip(pixels, similar):
                out[n, :, i[0], i[1]] += weight / sum(similar) * v[:, j[0], j[1]]
    return out


@pytest.mark.parametrize('kwargs', ARGS)
def test_equals_loops(kwargs: dict[str, Any]) -> None:
    module = make(**kwargs)
    x, value = torch.randn(2, 3, 3, 4).double(), torch.randn(2, 5, 3, 4).double()
    kernel = kwargs.get('kernel_size', 1)
    feature = x
    if kwargs.get('with_conv', True):
        assert module.conv.weight.shape == (kwargs.get('out_channels', 3), 3, kernel, kernel)
        feature = F.conv2d(x, module.conv.weight, module.conv.bias, padding=kernel // 2)
    with torch.no_grad():
        assert_close(module(x), slow(feature, x))
        assert_close(module(x, value), slow(feature, value))
        assert_close(module(x.contiguous(memory_format=torch.channels_last)), module(x))


def test_what_there_is_to_train() -> None:
    assert not list(make(with_conv=False).parameters())
    module = make()
    assert sorted(module.state_dict()) == ['conv.bias', 'conv.weight']
    x = torch.randn(2, 3, 3, 4).double().requires_grad_()
    module(x).square().sum().backward()
    assert all(param.grad.abs().sum() > 0 for param in (*module.parameters(), x))


def test_init_cfg() -> None:
    module = make(init_cfg=dict(type='Constant', layer='Conv2d', val=0.5))
    module.init_weights()
    assert (module.conv.weight == 0.5).all()
    module, before = make(), {}
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.init_weights()  # PyTorch's stays
    assert_close(module.state_dict(), before)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (
            dict(kernel_size=2),
            r'SelfAttentionModule\.kernel_size: expected an odd number, but got 2',
        ),
        (dict(kernel_size=0), 'an integer of at least 1, but got 0'),
        (dict(chunk_elements=0), r'chunk_elements: expected an integer of at least 1, but got 0'),
        (dict(with_conv=False, out_channels=4), r'with_conv: expected True with out_channels=4'),
        (dict(with_conv=False, kernel_size=3), r'kernel_size=3, but got False; remove them'),
    ],
)
def test_wrong_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SelfAttentionModule(3, **kwargs)


@pytest.mark.parametrize('with_conv', [True, False])
def test_attention_maps_are_what_pixels_receive(with_conv: bool) -> None:
    module = make(with_conv=with_conv).float()
    x, positions = torch.randn(2, 3, 2, 3), torch.tensor([4, 0])
    maps = module.attention_maps(x, positions)
    assert maps.shape == (2, 2, 2, 3)
    assert not maps.requires_grad
    assert_close(maps.sum((2, 3)), torch.ones(2, 2))
    received = torch.einsum('npyx,ncyx->ncp', maps, x)
    assert_close(received, module(x).detach().flatten(2)[..., positions])
