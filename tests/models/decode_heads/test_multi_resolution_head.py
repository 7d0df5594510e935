"""HRDA's fusion, position by position."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import toys
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.models.decode_heads.multi_resolution_head import MultiResolutionFeatures
from mmseg_uda.models.layers.detail_crops import Slides
from mmseg_uda.structures import Crops

CLASSIFIER = toys.segmentor_cfg()['decode_head']
SIDES = (32, 48)


def make(**changes: Any) -> Any:
    torch.manual_seed(0)
    head = MODELS.build(dict(dict(type='MultiResolutionHead', classifier=CLASSIFIER), **changes))
    for param in head.parameters():
        nn.init.normal_(param, std=0.3)
    return head.double()


def features(crops: Crops | Slides, number: int = 2) -> MultiResolutionFeatures:
    """Of images (2, 3, 32, 48) with an encoder of stride 4."""
    context = torch.randn(2, 8, 4, 6, dtype=torch.float64)
    detail = torch.randn(number, 8, 4, 6, dtype=torch.float64)
    return MultiResolutionFeatures([context], [detail], crops, SIDES)


def doubled(maps: Tensor) -> Tensor:
    """Bilinear interpolation to twice the size, with half pixels, by loops."""
    height, width = maps.shape[2:]
    result = maps.new_zeros(*maps.shape[:2], 2 * height, 2 * width)
    for y in range(2 * height):
        for x in range(2 * width):
            v, u = max((y + 0.5) / 2 - 0.5, 0), max((x + 0.5) / 2 - 0.5, 0)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            dv, du = v - top, u - left
            upper = (1 - du) * maps[:, :, top, left] + du * maps[:, :, top, right]
            lower = (1 - du) * maps[:, :, bottom, left] + du * maps[:, :, bottom, right]
            result[:, :, y, x] = (1 - dv) * upper + dv * lower
    return result


@pytest.mark.parametrize('outputs', [1, toys.NUM_CLASSES])
def test_fusion_by_hand(outputs: int) -> None:
    """Values and gradients; products are resized, not factors."""
    head = make(attention=dict(CLASSIFIER, num_classes=outputs))
    crops = Crops([(8, 0), (16, 24)], (16, 24))
    inputs = features(crops)
    fused, detail = head.fuse(inputs)
    assert fused.shape == (2, toys.NUM_CLASSES, 8, 12)
    z_c, z_d = head.classifier(inputs), head.classifier(inputs.detail)
    attention = head.attention(inputs).sigmoid()
    inside = torch.zeros(2, 1, 4, 6, dtype=torch.float64)
    inside[0, :, 1:3, 0:3] = inside[1, :, 2:4, 3:6] = 1
    attention = attention * inside
    placed = torch.zeros(2, toys.NUM_CLASSES, 8, 12, dtype=torch.float64)
    placed[0, :, 2:6, 0:6], placed[1, :, 4:8, 6:12] = z_d[0], z_d[1]
    expected = doubled(attention) * placed + doubled((1 - attention) * z_c)
    assert_close(fused, expected)
    assert_close(detail, z_d)
    other = doubled(attention) * placed + (1 - doubled(attention)) * doubled(z_c)
    assert (fused - other).abs().max() > 0.01
    weight = torch.randn_like(fused)
    parameters = list(head.parameters())
    for got, want in zip(
        torch.autograd.grad((fused * weight).sum(), parameters, retain_graph=True),
        torch.autograd.grad((expected * weight).sum(), parameters),
    ):
        assert got.abs().sum() > 0
        assert_close(got, want)


def test_attention_chooses() -> None:
    """0 leaves the context's logits alone; 1 gives the detail's in the interior of the crop."""
    head, crops = make(), Crops([(8, 8), (8, 8)], (16, 24))
    inputs = features(crops)
    head.attention.forward = lambda inputs: torch.full_like(head.classifier(inputs), -1e4)
    z_c = F.interpolate(head.classifier(inputs), (8, 12), mode='bilinear')
    assert_close(head(inputs), z_c)
    head.attention.forward = lambda inputs: torch.full_like(head.classifier(inputs), 1e4)
    fused, z_d = head.fuse(inputs)
    assert_close(fused[:, :, 3:5, 3:7], z_d[:, :, 1:-1, 1:-1])
    # One position around the crop is weaker, and two are as without a crop.
    assert (fused - z_c)[:, :, 1, 1:9].abs().min() > 1e-6
    assert_close(fused[:, :, 0], z_c[:, :, 0])
    assert_close(fused[:, :, :, 9:], z_c[:, :, :, 9:])


def test_slides() -> None:
    """Without m: the attention counts everywhere, overlaps are averaged."""
    head = make()
    slides = Slides(2, SIDES, (16, 24), (16, 24), divisor=8)
    inputs = features(slides, 8)
    z_d = head.classifier(inputs.detail).view(2, 2, 2, toys.NUM_CLASSES, 4, 6)
    placed = torch.cat([torch.cat([*row.unbind(1)], 3) for row in z_d.unbind(1)], 2)
    attention = head.attention(inputs).sigmoid()
    expected = doubled(attention) * placed + doubled((1 - attention) * head.classifier(inputs))
    assert_close(head(inputs), expected)


def test_logits_of_ceil_mode_pooling() -> None:
    """One position too many is resized to the grid; more is another stride."""
    crops = Crops([(8, 0), (16, 24)], (16, 24))
    inputs = features(crops)
    larger = MultiResolutionFeatures(
        [F.interpolate(inputs[0], (5, 7))], [F.interpolate(inputs.detail[0], (5, 7))], crops, SIDES
    )
    head = make()
    fused, detail = head.fuse(larger)
    assert fused.shape[2:] == (8, 12)
    expected = F.interpolate(head.classifier(larger.detail), (4, 6), mode='bilinear')
    assert_close(detail, expected)
    with pytest.raises(
        ValueError, match=r'stride: expected logits of size \(2, 3\) for stride 8, '
    ):
        make(stride=8).fuse(features(Crops([(0, 0), (16, 0)], (16, 16))))


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(stride=0), 'MultiResolutionHead.stride'),
        (dict(stride=0.75, downscale=2), 'stride: expected a half of an integer, but got 0.75'),
        (dict(downscale=1), 'downscale: expected an integer of at least 2'),
        (
            dict(attention=dict(CLASSIFIER, num_classes=3)),
            'attention: expected num_classes of 1 or',
        ),
        (
            dict(
                classifier=dict(
                    type='STDCHead',
                    boundary_threshold=0.1,
                    in_channels=8,
                    channels=8,
                    num_classes=4,
                )
            ),
            'MultiResolutionHead.classifier: expected a decode head with the stock `loss',
        ),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        make(**changes)
