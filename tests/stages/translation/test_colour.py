"""Colour transfer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmseg_uda.stages.translation.colour import (
    LMS,
    SPACES,
    match_histogram,
    match_moments,
    moments,
)

every_space = pytest.mark.parametrize('space', sorted(SPACES))


def picture(seed: int, low: int = 60, high: int = 180) -> np.ndarray:
    """A smooth picture of muted colours, which stays in range when it is changed a little."""
    noise = np.random.default_rng(seed).integers(low, high, (12, 16, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (3, 3), 0)


@every_space
def test_conversions_are_inverse(space: str) -> None:
    forth, back = SPACES[space]
    image = picture(0, 10, 250)
    np.testing.assert_array_equal(back(forth(image)), image)


def test_spaces_are_the_papers() -> None:
    white = np.full((1, 1, 3), 255, np.uint8)
    np.testing.assert_allclose(SPACES['lab'][0](white)[0, 0], (100, 0, 0), atol=0.05)
    orange = np.array([[[40, 120, 240]]], np.uint8)
    cones = [sum(w * v / 255 for w, v in zip(row, (240, 120, 40))) for row in LMS]
    long, middle, short = np.log10(cones)
    np.testing.assert_allclose(
        SPACES['lalphabeta'][0](orange)[0, 0],
        [
            (long + middle + short) / 3**0.5,
            (long + middle - 2 * short) / 6**0.5,
            (long - middle) / 2**0.5,
        ],
    )


@every_space
def test_moments_become_those_of_the_style(space: str) -> None:
    image, style = picture(0), picture(1, 90, 150)
    made = match_moments(image, *moments(style, space), space)
    for got, expected in zip(moments(made, space), moments(style, space)):
        np.testing.assert_allclose(got, expected, atol=0.2)
    forth, back = SPACES[space]
    values = forth(image)
    for c in range(3):
        mine, other = values[..., c], forth(style)[..., c]
        values[..., c] = (mine - mine.mean()) * other.std() / mine.std() + other.mean()
    np.testing.assert_array_equal(made, back(values))


@every_space
def test_own_style_gives_the_image_back(space: str) -> None:
    image = picture(0)
    made = match_moments(image, *moments(image, space), space)
    assert np.abs(made.astype(int) - image).max() <= 1


@every_space
def test_flat_image_is_shifted_only(space: str) -> None:
    flat, style = np.full((4, 4, 3), 90, np.uint8), picture(1)
    made = match_moments(flat, *moments(style, space), space)
    assert (made == made[0, 0]).all()
    np.testing.assert_allclose(moments(made, space)[0], moments(style, space)[0], atol=0.5)


def slow_histogram(image: np.ndarray, style: np.ndarray) -> np.ndarray:
    made = np.empty_like(image)
    for c in range(3):
        for index in np.ndindex(image.shape[:2]):
            share = np.mean(image[..., c] <= image[(*index, c)])
            made[(*index, c)] = next(
                level for level in range(256) if np.mean(style[..., c] <= level) >= share - 1e-12
            )
    return made


def test_histogram_is_the_slow_one() -> None:
    image, style = picture(0)[:5, :6], picture(1, 20, 220)[:7, :5]
    np.testing.assert_array_equal(
        match_histogram(image, style, 'rgb'), slow_histogram(image, style)
    )


@pytest.mark.parametrize('space', ['lab', 'rgb'])
def test_histogram_of_the_own_style_gives_the_image_back(space: str) -> None:
    image, style = picture(0), picture(1, 20, 220)
    assert np.abs(match_histogram(image, image, space).astype(int) - image).max() <= 1
    once = match_histogram(image, style, space)
    again = match_histogram(once, style, space)
    assert np.abs(again.astype(int) - once).max() <= (0 if space == 'rgb' else 3)


def test_histogram_is_monotone() -> None:
    image, style = picture(0), picture(1)
    made = match_histogram(image, style, 'rgb')
    for c in range(3):
        order = image[..., c].flatten().argsort()
        assert (np.diff(made[..., c].flatten()[order].astype(int)) >= 0).all()
