"""Translation by colour alone: moments and histograms of decorrelated channels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['SPACES', 'match_histogram', 'match_moments', 'moments']

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

# RGB to cone responses, Reinhard et al. (2001). Its inverse is computed: the one usually printed is
# off by up to 0.017.
LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
# Logarithms of cone responses to lightness, yellow-blue and red-green.
OPPONENTS = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])
DARKEST = 1 / 255  # below it logarithms are cut
HUNDREDTHS = 100  # levels per unit of CIELAB


def _to_lab(image: Image) -> Floats:
    """Convert BGR to CIELAB (D65): lightness in [0, 100]."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB).astype(np.float64)


def _from_lab(values: Floats) -> Image:
    bgr = cv2.cvtColor(values.astype(np.float32), cv2.COLOR_LAB2BGR)
    return np.clip(np.rint(bgr * 255), 0, 255).astype(np.uint8)


def _to_opponents(image: Image) -> Floats:
    """Convert BGR to the lαβ of Ruderman et al."""
    cones = np.maximum(image[..., ::-1] / 255 @ LMS.T, DARKEST)
    return np.log10(cones) @ OPPONENTS.T


def _from_opponents(values: Floats) -> Image:
    rgb = 10 ** (values @ np.linalg.inv(OPPONENTS).T) @ np.linalg.inv(LMS).T
    return np.clip(np.rint(rgb[..., ::-1] * 255), 0, 255).astype(np.uint8)


# Conversions to and from decorrelated channels.
SPACES: dict[str, tuple[Callable[[Image], Floats], Callable[[Floats], Image]]] = {
    'lab': (_to_lab, _from_lab),
    'lalphabeta': (_to_opponents, _from_opponents),
}


def moments(image: Image, space: str = 'lab') -> tuple[Floats, Floats]:
    """Compute mean and standard deviation of each channel, shape (3,) each.

    Args:
        image: BGR, shape (H, W, 3), in [0, 255].
        space: One of ``SPACES``.
    """
    values = SPACES[space][0](image)
    return values.mean((0, 1)), values.std((0, 1))


def match_moments(image: Image, mean: Floats, deviation: Floats, space: str = 'lab') -> Image:
    r"""Give each channel a mean and a standard deviation: Reinhard et al., "Color Transfer between
    Images" (2001).

    .. math:: x' = (x - \mu_s) \sigma_t / \sigma_s + \mu_t

    A channel without any variation is shifted only.

    Args:
        image: BGR, shape (H, W, 3), in [0, 255].
        mean: :math:`\mu_t`, shape (3,).
        deviation: :math:`\sigma_t`, shape (3,).
        space: One of ``SPACES``; the paper's is ``'lalphabeta'``.

    Returns:
        The same shape, rounded and clipped to [0, 255].

    Example:
        >>> red = np.full((2, 2, 3), (0, 0, 200), np.uint8)
        >>> blue = np.full((2, 2, 3), (200, 0, 0), np.uint8)
        >>> match_moments(red, *moments(blue))[0, 0]
        array([200,   0,   0], dtype=uint8)
    """
    forth, back = SPACES[space]
    values = forth(image)
    own_mean, own_deviation = moments(image, space)
    varies = own_deviation > 1e-6
    scale = np.divide(deviation, own_deviation, out=np.ones(3), where=varies)
    return back((values - own_mean) * scale + mean)


def match_histogram(image: Image, style: Image, space: str = 'lab') -> Image:
    """Give each channel the distribution of another image's.

    A level becomes the smallest level of the style that has at least its cumulative share of
    pixels. Levels of CIELAB are hundredths.

    Args:
        image: BGR, shape (H, W, 3), in [0, 255].
        style: The same, of any size.
        space: ``'lab'`` or ``'rgb'``.

    Returns:
        The shape of the image.

    Example:
        >>> dark, bright = np.full((2, 2, 3), 50, np.uint8), np.full((4, 2, 3), 200, np.uint8)
        >>> match_histogram(dark, bright, 'rgb')[0, 0]
        array([200, 200, 200], dtype=uint8)
    """
    if space == 'rgb':
        pairs = [(image[..., c], style[..., c]) for c in range(3)]
        return np.stack([_match_levels(*pair) for pair in pairs], -1).astype(np.uint8)
    levels = [np.rint(_to_lab(each) * HUNDREDTHS).astype(np.int64) for each in (image, style)]
    matched = [_match_levels(levels[0][..., c], levels[1][..., c]) for c in range(3)]
    return _from_lab(np.stack(matched, -1) / HUNDREDTHS)


def _match_levels(source: NDArray[np.integer], target: NDArray[np.integer]) -> NDArray[np.integer]:
    """Match one channel, shape (H, W), of integer levels."""
    _, places, counts = np.unique(source, return_inverse=True, return_counts=True)
    levels, target_counts = np.unique(target, return_counts=True)
    # Shares in integers, so that equal ones are equal.
    shares = counts.cumsum() * target.size
    target_shares = target_counts.cumsum() * source.size
    return levels[np.searchsorted(target_shares, shares)][places.reshape(source.shape)]
