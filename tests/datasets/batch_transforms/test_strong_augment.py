"""Colour jitter and blur, against one image at a time by colorsys and OpenCV."""

from __future__ import annotations

import colorsys
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import toys
from mmseg.registry import TRANSFORMS
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.datasets.batch_transforms.strong_augment import (
    StrongAugment,
    _order,
    gaussian_blur,
    hsv_to_rgb,
    rgb_to_hsv,
)
from mmseg_uda.datasets.endless import derive_seed

MEAN, STD = (torch.tensor(x).view(3, 1, 1) for x in ([123.0, 116.0, 103.0], [58.0, 57.0, 60.0]))
OFF = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, jitter_prob=0.0, blur_prob=0.0)


def pictures(number: int = 3, height: int = 9, width: int = 11) -> Tensor:
    """RGB in [0, 1] with black, white and grey among them."""
    images = torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(9))
    images[..., 0, 0], images[..., 0, 1], images[..., 0, 2] = 0.0, 1.0, 0.5
    return images


def normalise(images: Tensor, mean: Tensor = MEAN, std: Tensor = STD) -> Tensor:
    return (images * 255 - mean) / std


def slow_jitter(image: np.ndarray, changes: list[float], order: list[int]) -> np.ndarray:
    """Pixel by pixel; image (3, H, W) in [0, 1]."""
    result = image.copy()
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            pixel = tuple(float(v) for v in image[:, y, x])
            for index in order:
                change = changes[index]
                if index == 0:
                    pixel = tuple(min(max(v + change, 0.0), 1.0) for v in pixel)
                elif index == 1:
                    pixel = tuple(min(max(v * (1 + change), 0.0), 1.0) for v in pixel)
                else:
                    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
                    if index == 2:
                        saturation = min(saturation * (1 + change), 1.0)
                    else:
                        hue = (hue + change) % 1
                    pixel = colorsys.hsv_to_rgb(hue, saturation, value)
            result[:, y, x] = pixel
    return result


def slow_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack(
        [
            cv2.GaussianBlur(each, (11, 11), sigma, borderType=cv2.BORDER_REFLECT_101)
            for each in image
        ]
    )


def test_hsv_is_that_of_colorsys() -> None:
    images = pictures().double()
    hsv = rgb_to_hsv(images)
    for n, y, x in ((n, y, x) for n in range(3) for y in range(9) for x in range(11)):
        expected = colorsys.rgb_to_hsv(*images[n, :, y, x].tolist())
        assert_close(hsv[n, :, y, x], torch.tensor(expected, dtype=torch.float64))
    assert_close(hsv_to_rgb(hsv), images)


@pytest.mark.parametrize('sigma', [0.15, 0.7, 1.15])
def test_blur_is_that_of_opencv(sigma: float) -> None:
    images = pictures().double()
    blurred = gaussian_blur(images, torch.tensor([sigma, 0.5, sigma], dtype=torch.float64), 5)
    for index, each in enumerate([sigma, 0.5, sigma]):
        expected = slow_blur(images[index].numpy(), each)
        assert_close(blurred[index], torch.from_numpy(expected), atol=1e-6, rtol=0)


def test_blur_of_small_images() -> None:
    assert_close(
        gaussian_blur(torch.full((1, 1, 1, 3), 0.4), torch.tensor([1.0]), 5),
        torch.full((1, 1, 1, 3), 0.4),
    )


@pytest.mark.parametrize('seed', range(4))
def test_whole_augmentation_image_by_image(seed: int) -> None:
    images = pictures(4)
    augment = StrongAugment(
        0.3, 0.2, 0.4, 0.25, jitter_prob=0.7, blur_sigma=(0.3, 1.2), blur_prob=0.6
    )
    found = augment(normalise(images), MEAN, STD, generators=toys.generators(4, seed))
    for index, (image, draws) in enumerate(zip(images.double().numpy(), toys.generators(4, seed))):
        host = torch.Generator().manual_seed(derive_seed(draws.initial_seed()))
        order = torch.randperm(4, generator=host).tolist()
        jitter = torch.rand(5, generator=draws).tolist()
        blur, place = torch.rand(2, generator=draws).tolist()
        if jitter[4] < 0.7:
            limits = (0.3, 0.2, 0.4, 0.25)
            changes = [(2 * drawn - 1) * limit for drawn, limit in zip(jitter, limits)]
            image = slow_jitter(image, changes, order)
        if blur < 0.6:
            image = slow_blur(image, 0.3 + 0.9 * place)
        assert_close(found[index], normalise(torch.from_numpy(image).float()), atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    ('key', 'index'), [('brightness', 0), ('contrast', 1), ('saturation', 2), ('hue', 3)]
)
def test_each_change_alone(key: str, index: int) -> None:
    images = pictures(1)
    augment = StrongAugment(**{**OFF, key: 0.2, 'jitter_prob': 1.0})
    found = augment(normalise(images), MEAN, STD, generators=toys.generators(1, 1))
    change = (2 * torch.rand(5, generator=toys.generators(1, 1)[0])[index].item() - 1) * 0.2
    changes = [0.0] * 4
    changes[index] = change
    expected = slow_jitter(images[0].double().numpy(), changes, [index])
    assert_close(found[0], normalise(torch.from_numpy(expected).float()), atol=2e-4, rtol=0)
    assert (found - normalise(images)).abs().max() > 0.01


def test_channel_order() -> None:
    """BGR images give what RGB images give, flipped."""
    images, mean = pictures(), MEAN.flip(0)
    rgb = StrongAugment()(normalise(images), MEAN, STD, generators=toys.generators(3))
    bgr = StrongAugment()(
        normalise(images.flip(1), mean, STD.flip(0)),
        mean,
        STD.flip(0),
        bgr=True,
        generators=toys.generators(3),
    )
    assert_close(bgr, rgb.flip(1), atol=1e-5, rtol=1e-5)
    wrong = StrongAugment()(
        normalise(images.flip(1), mean, STD.flip(0)),
        mean,
        STD.flip(0),
        generators=toys.generators(3),
    )
    assert (wrong - rgb.flip(1)).abs().max() > 0.01


def test_images_in_0_1() -> None:
    images = pictures()
    found = StrongAugment()(images, 0, 255, generators=toys.generators(3))
    assert_close(
        normalise(found),
        StrongAugment()(normalise(images), MEAN, STD, generators=toys.generators(3)),
        atol=1e-4,
        rtol=0,
    )
    assert found.min() >= 0
    assert found.max() <= 1


def test_untouched_images_stay_to_the_last_bit() -> None:
    images = normalise(pictures(40))
    assert torch.equal(StrongAugment(**OFF)(images, MEAN, STD), images)
    found = StrongAugment(jitter_prob=0.5, blur_prob=0.5)(
        images, MEAN, STD, generators=toys.generators(40)
    )
    same = [torch.equal(a, b) for a, b in zip(found, images)]
    assert 3 < sum(same) < 20  # a quarter of 40


@pytest.mark.parametrize(('key', 'prob'), [('jitter_prob', 0.8), ('blur_prob', 0.5)])
def test_probabilities(key: str, prob: float) -> None:
    images = torch.rand(2000, 3, 2, 3)
    augment = StrongAugment(
        **{**dict(jitter_prob=0.0, blur_prob=0.0, blur_sigma=(1, 1)), key: prob}
    )
    found = augment(images, 0, 255, generators=toys.generators(2000))
    changed = (found != images).flatten(1).any(1).float().mean()
    assert abs(changed - prob) < 0.04


def test_range_of_the_blur() -> None:
    image = torch.zeros(300, 3, 7, 7)
    image[..., 3, 3] = 1.0
    blurred = StrongAugment(jitter_prob=0.0, blur_prob=1.0, blur_sigma=(0.5, 1.0))(image, 0, 255)
    peaks = blurred[:, 0, 3, 3]
    low, high = (slow_blur(image[0].numpy(), sigma)[0, 3, 3] for sigma in (1.0, 0.5))
    assert low - 1e-4 < peaks.min() < low + 0.02
    assert high + 1e-4 > peaks.max() > high - 0.03


def test_defaults_are_those_of_the_paper() -> None:
    augment: Any = TRANSFORMS.build(dict(type='StrongAugment'))
    assert augment.limits == (0.25, 0.25, 0.25, 0.25)
    assert (augment.jitter_prob, augment.blur_sigma, augment.blur_prob) == (0.8, (0.15, 1.15), 0.5)
    assert not augment.state_dict()


def test_each_image_has_an_order_of_its_own() -> None:
    images = pictures(1).expand(40, -1, -1, -1)
    augment = StrongAugment(0.3, 0.3, 0.3, 0.3, jitter_prob=1.0, blur_prob=0.0)
    same = [torch.Generator().manual_seed(seed) for seed in (5,) * 20 + (6,) * 20]
    found = augment(images, 0, 255, generators=same)
    assert (found[:20] == found[0]).all()
    orders = {tuple(_order(each)) for each in toys.generators(200)}
    assert len(orders) == 24
    assert not torch.equal(found[0], found[20])


def test_global_generators() -> None:
    images = pictures()
    torch.manual_seed(3)
    first = StrongAugment()(images, 0, 255)
    assert not torch.equal(StrongAugment()(images, 0, 255), first)
    torch.manual_seed(3)
    assert torch.equal(StrongAugment()(images, 0, 255), first)


def test_dtype_and_graph() -> None:
    images = pictures().half().requires_grad_()
    found = StrongAugment()(images, 0, 255)
    assert found.dtype == torch.float16
    assert not found.requires_grad


def test_never_waits_for_the_device() -> None:
    images = torch.empty(2, 3, 16, 20, device='meta')
    found = StrongAugment()(images, MEAN.to('meta'), STD.to('meta'), bgr=True)
    assert found.is_meta
    assert found.shape == images.shape


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (
            dict(brightness=1.5),
            r'StrongAugment.brightness: expected a number in \[0, 1\], but got 1.5',
        ),
        (
            dict(contrast=-0.1),
            r'StrongAugment.contrast: expected a number in \[0, 1\], but got -0.1',
        ),
        (
            dict(saturation=2),
            r'StrongAugment.saturation: expected a number in \[0, 1\], but got 2',
        ),
        (dict(hue=0.6), r'StrongAugment.hue: expected a number in \[0, 0.5\], but got 0.6'),
        (
            dict(jitter_prob=2),
            r'StrongAugment.jitter_prob: expected a number in \[0, 1\], but got 2',
        ),
        (
            dict(blur_prob=-1),
            r'StrongAugment.blur_prob: expected a number in \[0, 1\], but got -1',
        ),
        (
            dict(blur_sigma=(1, 0.5)),
            r'StrongAugment.blur_sigma: expected \(smallest, largest\), but got \(1, 0.5\)',
        ),
        (
            dict(blur_sigma=(0, 1)),
            r'StrongAugment.blur_sigma: expected a number in \(0, inf\), but got 0',
        ),
        (
            dict(blur_sigma=(1,)),
            r'StrongAugment.blur_sigma: expected a list of 2 numbers, but got \(1,\)',
        ),
    ],
)
def test_errors(kwargs: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        StrongAugment(**kwargs)
