"""RandAugment: colours as Pillow's, geometry by hand, images and labels in step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import toys
from mmseg.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.datasets.batch_transforms import RandAugment, build_views
from mmseg_uda.datasets.batch_transforms.rand_augment import (
    COLOURS,
    GEOMETRIES,
    affine,
    change_colours,
)


def pillow(image: Image.Image, name: str, strength: int) -> Image.Image:
    """FixMatch's pool: strength v of 10 times the largest value, plus the offset."""
    factor = 0.9 * strength / 10 + 0.05
    return {
        'autocontrast': lambda: ImageOps.autocontrast(image),
        'brightness': lambda: ImageEnhance.Brightness(image).enhance(factor),
        'color': lambda: ImageEnhance.Color(image).enhance(factor),
        'contrast': lambda: ImageEnhance.Contrast(image).enhance(factor),
        'equalize': lambda: ImageOps.equalize(image),
        'identity': lambda: image,
        'posterize': lambda: ImageOps.posterize(image, int(strength * 4 / 10) + 4),
        'sharpness': lambda: ImageEnhance.Sharpness(image).enhance(factor),
        'solarize': lambda: ImageOps.solarize(image, 256 - int(strength * 256 / 10)),
    }[name]()


@pytest.mark.parametrize('strength', [1, 5, 9])
@pytest.mark.parametrize('name', COLOURS)
def test_colours_are_pillows(name: str, strength: int) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(60))[..., None] + np.array([20, 60, 90])
    noise = np.random.default_rng(strength).integers(-20, 20, (40, 60, 3))
    pixels = (smooth + noise).clip(0, 255).astype(np.uint8)
    expected = np.asarray(pillow(Image.fromarray(pixels), name, strength)).astype(np.float32)
    got = change_colours(torch.from_numpy(pixels).permute(2, 0, 1).float(), name, strength)
    exact = name in ('equalize', 'identity', 'posterize', 'solarize')
    # Pillow rounds to 8 bits, the grey image and the result.
    assert_close(got.permute(1, 2, 0), torch.from_numpy(expected), atol=0 if exact else 1.5, rtol=0)


@pytest.mark.parametrize('name', ['autocontrast', 'equalize'])
def test_constant_images_stay(name: str) -> None:
    image = torch.full((3, 4, 5), 100.0)
    assert change_colours(image, name, 5.0).equal(image)


def point(matrix: Tensor, x: float, y: float, size: tuple[int, int]) -> list[float]:
    """Where a pixel position of the result comes from, in pixels."""
    height, width = size
    u, v, _ = (matrix @ torch.tensor([2 * x / width - 1, 2 * y / height - 1, 1.0])).tolist()
    return [(u + 1) / 2 * width, (v + 1) / 2 * height]


@pytest.mark.parametrize('strength', [-7.0, 4.0])
@pytest.mark.parametrize('name', GEOMETRIES)
def test_geometry_in_pixels(name: str, strength: float) -> None:
    size, (x, y) = (40, 60), (13.0, 31.0)
    share, angle = 0.03 * strength, math.radians(3 * strength)
    expected = {
        'rotate': [
            30 + math.cos(angle) * (x - 30) + math.sin(angle) * (y - 20),
            20 - math.sin(angle) * (x - 30) + math.cos(angle) * (y - 20),
        ],
        'shear_x': [x + share * y, y],
        'shear_y': [x, y + share * x],
        'translate_x': [x + share * 60, y],
        'translate_y': [x, y + share * 40],
    }[name]
    got = point(affine(name, strength, size), x, y, size)
    assert got == pytest.approx(expected, abs=1e-4)


def test_images_and_labels_move_in_step() -> None:
    """An image that is its own label: where it is shown, both agree."""
    labels = torch.zeros(20, 64, 96, dtype=torch.int64)
    labels[:, 20:44, 30:70] = 1
    images = labels.unsqueeze(1).expand(-1, 3, -1, -1) * 200.0
    moving = RandAugment(number=4, magnitude=10)
    changed = 0
    for index in range(20):
        image, view = moving(
            images[index : index + 1], 0.0, 1.0, generators=toys.generators(1, index)
        )
        moved = view.warp_labels(labels[index : index + 1], 255)
        shown = moved != 255
        expected = view.warp(images[index : index + 1], fill=127.0)
        changed += int(not view.theta.equal(torch.eye(2, 3)[None]))
        assert (image[~shown.unsqueeze(1).expand_as(image)] - 127).abs().max() < 1e-3
        inner = shown & ((expected[:, 0] < 1) | (expected[:, 0] > 199))
        assert ((expected[:, 0] > 100).long() == moved)[inner].all()
    assert changed > 10


def test_cutout() -> None:
    """A square of a third of the shorter side, with its centre in the image."""
    augment = RandAugment(number=0, flip_prob=0)
    images, view = augment(torch.zeros(200, 3, 30, 60), 0.0, 1.0, generators=toys.generators(200))
    hidden = view.warp_labels(torch.zeros(200, 30, 60, dtype=torch.int64), 255) == 255
    assert (images == 127).all(1).equal(hidden)
    counts = hidden.sum((1, 2))
    assert counts.max() == 100
    assert counts.min() >= 25  # a corner of the image
    assert RandAugment(cutout=0)(torch.zeros(1, 3, 4, 4), 0.0, 1.0)[1].hole is None


def test_normalisation_and_channel_order() -> None:
    """Grey is 127 of each channel, whatever the scale; BGR images change as RGB ones."""
    mean, std = torch.tensor([10.0, 20, 30]).view(3, 1, 1), torch.tensor([2.0, 4, 8]).view(3, 1, 1)
    pixels = torch.randint(0, 256, (4, 3, 16, 24)).float()
    augment = RandAugment(number=6)
    plain, view = augment(pixels, 0.0, 1.0, generators=toys.generators(4))
    scaled, _ = augment((pixels - mean) / std, mean, std, generators=toys.generators(4))
    assert_close(scaled * std + mean, plain, atol=1e-2, rtol=0)
    bgr, _ = augment(pixels.flip(1), 0.0, 1.0, bgr=True, generators=toys.generators(4))
    assert bgr.flip(1).equal(plain)
    assert view.size == (16, 24)


def test_each_image_has_its_own_generator() -> None:
    pixels = torch.randint(0, 256, (3, 3, 16, 24)).float()
    joint, view = RandAugment()(pixels, 0.0, 1.0, generators=toys.generators(3))
    alone, own = RandAugment()(pixels[2:], 0.0, 1.0, generators=toys.generators(3)[2:])
    assert_close(alone[0], joint[2])
    assert own.theta[0].equal(view.theta[2])
    assert own.hole is not None
    assert own.hole[0].equal(view.hole[2])


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        (dict(number=-1), 'RandAugment.number: expected an integer of at least 0, but got -1'),
        (dict(magnitude=11), r'RandAugment.magnitude: expected a number in \[2, 10\], but got 11'),
        (dict(flip_prob=-1), r'RandAugment.flip_prob: expected a number in \[0, 1\], but got -1'),
        (dict(cutout=3), r'RandAugment.cutout: expected a number in \[0, 1\], but got 3'),
    ],
)
def test_errors(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TRANSFORMS.build(dict(type='RandAugment', **changes))


def test_views_of_other_classes_are_refused() -> None:
    weak, strong = dict(type='RandomView', size=(4, 4)), dict(type='RandAugment')
    with pytest.raises(TypeError, match='X.weak_view: expected a view of whole images, but got Ra'):
        build_views('X', strong, strong)
    with pytest.raises(
        TypeError, match='X.strong_view: expected an augmentation, but got RandomVi'
    ):
        build_views('X', weak, weak)
