"""Views of whole images: positions by hand, and the same part of images, labels and features."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import toys
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.datasets.batch_transforms import RandomView, View

IDENTITY = torch.eye(2, 3)[None]
FLIP = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])


def slow_nearest(labels: Tensor, view: View, ignore: int) -> Tensor:
    """Pixel by pixel."""
    height, width = view.size
    result = torch.full((len(labels), height, width), ignore)
    for n in range(len(labels)):
        for row in range(height):
            for column in range(width):
                x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
                if view.hole is not None:
                    left, top, right, bottom = view.hole[n].tolist()
                    if left <= x < right and top <= y < bottom:
                        continue
                (a, b, c), (d, e, f) = view.theta[n].tolist()
                u, v = a * x + b * y + c, d * x + e * y + f
                if abs(u) > 1 or abs(v) > 1:
                    continue
                h, w = labels.shape[1:]
                i = min(max(math.floor((v + 1) / 2 * h), 0), h - 1)
                j = min(max(math.floor((u + 1) / 2 * w), 0), w - 1)
                result[n, row, column] = labels[n, i, j]
    return result


def test_identity_and_flip_are_exact() -> None:
    images, labels = torch.rand(1, 3, 5, 7), torch.randint(0, 19, (1, 5, 7))
    same, flipped = View(IDENTITY, (5, 7)), View(FLIP, (5, 7))
    assert_close(same.warp(images), images, atol=1e-5, rtol=0)
    assert same.warp_labels(labels, 255).equal(labels)
    assert_close(flipped.warp(images), images.flip(3), atol=1e-5, rtol=0)
    assert flipped.warp_labels(labels, 255).equal(labels.flip(2))
    assert flipped.warp(images.half()).dtype is torch.float16


def test_labels_equal_loops() -> None:
    theta = torch.tensor([[[0.6, 0.2, 0.3], [-0.1, 0.9, -0.4]], [[-1.3, 0, 0.1], [0.2, 0.5, 0]]])
    hole = torch.tensor([[-0.5, -0.6, 0.1, 0.3], [0.2, 0.0, 3.0, 0.4]])
    labels = torch.randint(0, 19, (2, 6, 9))
    view = View(theta, (8, 11), hole)
    assert view.warp_labels(labels, 255).equal(slow_nearest(labels, view, 255))
    assert (view.warp_labels(labels, 255) == 255).any()


def test_fill_by_channel() -> None:
    view = View(IDENTITY + torch.tensor([0, 0, 5.0]), (2, 2))  # beyond the image
    fill = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    assert view.warp(torch.rand(1, 3, 2, 2), fill=fill).equal(fill.expand(1, 3, 2, 2))


def test_maps_of_other_resolutions_show_the_same_part() -> None:
    """A gradient over the image has the same values at every resolution."""

    def ramp(height: int, width: int) -> Tensor:
        x = (2 * torch.arange(width) + 1) / width - 1
        return x.expand(1, 1, height, width)

    view = View(torch.tensor([[[-0.5, 0, 0.2], [0, 0.5, 0.1]]]), (16, 32))
    fine = view.warp(ramp(64, 128))
    coarse = view.warp(ramp(16, 32), size=(4, 8))
    expected = -0.5 * ramp(4, 8) + 0.2
    assert_close(coarse, expected, atol=1e-5, rtol=0)
    assert_close(torch.nn.functional.avg_pool2d(fine, 4), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize('ratio', [(0.5, 1.5), (1.0, 1.0), (0.1, 0.2)])
def test_random_views_lie_in_the_image(ratio: tuple[float, float]) -> None:
    """Their part of the image is size / (ratio * image), at most all of it."""
    images = torch.rand(50, 3, 20, 30)
    view = RandomView((10, 15), ratio)(images, toys.generators(50))
    width, height = view.theta[:, 0, 0].abs(), view.theta[:, 1, 1]
    low, high = (min(0.5 / each, 1.0) for each in ratio)
    assert_close(width, height)
    assert (width <= low + 1e-6).all()
    assert (width >= high - 1e-6).all()
    for row, extent in ((0, width), (1, height)):
        assert (view.theta[:, row, 2].abs() + extent <= 1 + 1e-6).all()
    assert 0.3 < (view.theta[:, 0, 0] < 0).float().mean() < 0.7
    assert not view.theta[:, 0, 1].any()
    assert view.warp(images, fill=9.0).max() < 1


def test_each_image_has_its_own_generator() -> None:
    images = torch.rand(3, 3, 20, 30)
    draw = RandomView((10, 15))
    joint = draw(images, toys.generators(3)).theta
    assert draw(images[1:2], toys.generators(3)[1:2]).theta[0].equal(joint[1])
    assert not joint[0].equal(joint[1])
    assert (RandomView((10, 15), flip_prob=0)(images).theta[:, 0, 0] > 0).all()
    assert (RandomView((10, 15), flip_prob=1)(images).theta[:, 0, 0] < 0).all()


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(size=(0, 4)), 'RandomView.size: expected an integer of at least 1, but got 0'),
        (
            dict(ratio=(1.5, 0.5)),
            'RandomView.ratio: expected .smallest, largest., but got .1.5, 0.5',
        ),
        (dict(flip_prob=2), 'RandomView.flip_prob: expected a number in .0, 1., but got 2'),
    ],
)
def test_errors(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        RandomView(**{'size': (4, 4), **changes})
