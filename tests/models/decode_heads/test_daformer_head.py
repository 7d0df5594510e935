"""DAFormer's head, computed again from its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

CHANNELS = (4, 6, 8, 10)


def make(**changes: Any) -> Any:
    torch.manual_seed(0)
    options = dict(in_channels=CHANNELS, num_classes=5, channels=6, dilations=(1, 2, 3))
    head = MODELS.build(dict(type='DAFormerHead', **{**options, **changes}))
    head.init_weights()
    for param in head.parameters():
        nn.init.normal_(param, std=0.3)
    return head


def levels(size: int = 16) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return tuple(
        torch.randn(2, each, size >> i, size >> i, generator=generator)
        for i, each in enumerate(CHANNELS)
    )


def norm_relu(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    mean, var = (each.view(1, -1, 1, 1) for each in (norm.running_mean, norm.running_var))
    x = (x - mean) / (var + norm.eps).sqrt()
    return (x * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)).clamp(min=0)


def by_hand(head: Any, inputs: tuple[Tensor, ...]) -> Tensor:
    w = head.state_dict()
    embedded = []
    for i, x in enumerate(inputs):
        weight, bias = w[f'embeddings.{i}.weight'][..., 0, 0], w[f'embeddings.{i}.bias']
        x = torch.einsum('nchw,dc->ndhw', x, weight) + bias.view(1, -1, 1, 1)
        embedded.append(F.interpolate(x, (16, 16), mode='bilinear', align_corners=False))
    x = torch.cat(embedded, 1)  # (N, 4 * 6, 16, 16)
    branches = [
        norm_relu(
            torch.einsum('nchw,dc->ndhw', x, w['aspp.0.conv.weight'][..., 0, 0]), head.aspp[0].bn
        )
    ]
    for i, dilation in ((1, 2), (2, 3)):
        parts = head.aspp[i]
        y = F.conv2d(x, parts.depthwise_conv.conv.weight, None, 1, dilation, dilation, x.shape[1])
        y = norm_relu(y, parts.depthwise_conv.bn)
        y = torch.einsum('nchw,dc->ndhw', y, parts.pointwise_conv.conv.weight[..., 0, 0])
        branches.append(norm_relu(y, parts.pointwise_conv.bn))
    x = F.conv2d(torch.cat(branches, 1), w['bottleneck.conv.weight'], None, 1, 1)
    x = norm_relu(x, head.bottleneck.bn)
    return F.conv2d(x, w['conv_seg.weight'], w['conv_seg.bias'])


def test_layers_by_hand() -> None:
    head = make().eval()
    found = head(levels())
    assert found.shape == (2, 5, 16, 16)
    assert_close(found, by_hand(head, levels()), atol=1e-5, rtol=1e-4)


def test_fusion_without_branches() -> None:
    """HRDA's scale attention: one 1x1 convolution, no bottleneck."""
    head = make(dilations=None).eval()
    w = head.state_dict()
    embedded = [
        F.interpolate(
            torch.einsum('nchw,dc->ndhw', x, w[f'embeddings.{i}.weight'][..., 0, 0])
            + w[f'embeddings.{i}.bias'].view(1, -1, 1, 1),
            (16, 16),
            mode='bilinear',
        )
        for i, x in enumerate(levels())
    ]
    x = torch.einsum(
        'nchw,dc->ndhw', torch.cat(embedded, 1), w['bottleneck.conv.weight'][..., 0, 0]
    )
    x = norm_relu(x, head.bottleneck.bn)
    expected = F.conv2d(x, w['conv_seg.weight'], w['conv_seg.bias'])
    assert_close(head(levels()), expected, atol=1e-5, rtol=1e-4)
    head.train()(levels()).square().mean().backward()
    assert all(param.grad is not None for param in head.parameters())


def test_every_parameter_gets_a_gradient() -> None:
    head = make().train()
    head(levels()).square().mean().backward()
    assert all(
        param.grad is not None and param.grad.isfinite().all() for param in head.parameters()
    )


def test_initial_weights() -> None:
    """Classifier N(0, 0.01) with zero bias; dropout of whole channels."""
    torch.manual_seed(0)
    head = MODELS.build(dict(type='DAFormerHead', in_channels=(4, 4), num_classes=19))
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert head.conv_seg.bias.eq(0).all()
    assert isinstance(head.dropout, nn.Dropout2d)
    assert head.dropout.p == 0.1
    assert [each.bias is not None for each in head.embeddings] == [True, True]


def test_number_of_parameters_of_the_papers_head() -> None:
    """Embedding, four branches, bottleneck and classifier, added up."""
    head = MODELS.build(dict(type='DAFormerHead', in_channels=(64, 128, 320, 512), num_classes=19))
    embed = (64 + 128 + 320 + 512) * 256 + 4 * 256
    first = 1024 * 256 + 2 * 256
    separable = 1024 * 9 + 2 * 1024 + 1024 * 256 + 2 * 256
    bottleneck = 1024 * 256 * 9 + 2 * 256
    expected = embed + first + 3 * separable + bottleneck + 256 * 19 + 19
    assert sum(param.numel() for param in head.parameters()) == expected


@pytest.mark.parametrize('changes', [dict(in_channels=(4, 0)), dict(dilations=(0,))])
def test_wrong_arguments(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f'DAFormerHead.{next(iter(changes))}'):
        make(**changes)
