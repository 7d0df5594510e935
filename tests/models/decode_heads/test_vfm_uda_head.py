"""The head of VFM-UDA, computed again from its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close


def make(**changes: Any) -> Any:
    torch.manual_seed(0)
    head = MODELS.build(dict(type='VFMUDAHead', in_channels=16, num_classes=5) | changes)
    for param in head.parameters():
        nn.init.normal_(param, std=0.3)
    return head


def transposed(x: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    """Each position becomes a block of 2 x 2."""
    blocks = torch.einsum('nchw,cdij->ndhiwj', x, conv.weight)
    n, d, h, _, w, _ = blocks.shape
    return blocks.reshape(n, d, 2 * h, 2 * w) + conv.bias.view(1, -1, 1, 1)


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    """Over the channels of a position."""
    mean, var = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    x = (x - mean) / (var + layer.eps).sqrt()
    return x * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)


def test_layers_by_hand() -> None:
    head = make()
    tokens = torch.randn(2, 16, 3, 4)
    first, norm1, _, second, norm2, conv, norm3 = head.upsample
    x = F.gelu(norm(transposed(tokens, first), norm1))
    x = norm(transposed(x, second), norm2)
    x = norm(F.conv2d(x, conv.weight, None, 1, 1), norm3)
    expected = torch.einsum('nchw,dc->ndhw', x, head.conv_seg.weight[..., 0, 0])
    found = head((torch.zeros(2, 7, 1, 1), tokens))
    assert found.shape == (2, 5, 12, 16)
    assert_close(found, expected, atol=1e-5, rtol=1e-4)
    found.square().mean().backward()
    assert all(param.grad is not None for param in head.parameters())


def test_parameters_and_initial_weights() -> None:
    """DINOv2-B's: no bias in the last two convolutions, classifier N(0, 0.1)."""
    head = MODELS.build(dict(type='VFMUDAHead', in_channels=768, num_classes=19))
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.1, rel=0.05)
    expected = 768 * 384 * 4 + 3 * 384 + 384 * 192 * 4 + 3 * 192 + 192**2 * 9 + 2 * 192 + 192 * 19
    assert sum(param.numel() for param in head.parameters()) == expected
    assert head.dropout is None


@pytest.mark.parametrize(
    'changes', [dict(in_channels=2), dict(num_classes=0), dict(dropout_ratio=2)]
)
def test_wrong_arguments(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f'VFMUDAHead.{next(iter(changes))}'):
        make(**changes)
