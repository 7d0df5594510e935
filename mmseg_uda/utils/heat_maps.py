"""Pictures of maps of numbers, with the range that their colours stand for.

Every picture is RGB, uint8, shape (H, W, 3).
"""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from mmseg_uda.utils.arguments import expect
from mmseg_uda.utils.drawing import grey

__all__ = ['color_bar', 'heat_map', 'heat_over', 'limits_of', 'stretch_map']

Limits = tuple[float, float]
WEAKEST, STRONGEST = 0.2, 0.85  # opacity of the lowest and the highest value over an image
MIDDLE = 145  # grey level under the bar of a map that lies over an image
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def limits_of(values: np.ndarray) -> Limits:
    """Choose the range of a map whose range is unknown.

    Returns:
        (0, 1) if all values are in it, as those of probabilities and masks; else the least and the
        greatest finite value. Show it, by :func:`color_bar` or in a caption.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def heat_map(values: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Paint a map of numbers from dark (low) to bright (high).

    Args:
        values: Shape (H, W), any float or integer type. NaN and infinities are painted as ``low``.
        low: The value of the darkest colour; smaller ones get it, too.
        high: The value of the brightest colour; larger ones get it, too.

    Raises:
        ValueError: If ``values`` is not (H, W).
    """
    return _paint(_scale(values, low, high))


def heat_over(
    image: np.ndarray, values: np.ndarray, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """Paint a map of numbers over an image in grey, the more opaque the higher a value is.

    Args:
        image: RGB picture.
        values: As for :func:`heat_map`; resized to the image.
        low: As for :func:`heat_map`.
        high: As for :func:`heat_map`.
    """
    scaled = _scale(values, low, high)
    if scaled.shape != image.shape[:2]:
        scaled = cv2.resize(scaled, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return _blend(grey(image), scaled)


def color_bar(low: float, high: float, size: tuple[int, int], over: bool = False) -> np.ndarray:
    """Draw the colours of a range from left to right, with the two numbers beside them.

    Args:
        low: Value of the first colour.
        high: Value of the last colour.
        size: Height and width in pixels.
        over: The colours are those of :func:`heat_over`.
    """
    height, width = size
    strip = np.full((height, width, 3), 255, dtype=np.uint8)
    scale, texts = 0.02 * height, (f'{low:.3g}', f'{high:.3g}')
    first, last = (cv2.getTextSize(text, _FONT, scale, 1)[0][0] + 4 for text in texts)
    inner = width - first - last
    if inner > 8:
        scaled = np.tile(np.linspace(0, 1, inner, dtype=np.float32), (max(1, height - 8), 1))
        base = np.full((*scaled.shape, 3), MIDDLE, dtype=np.uint8)
        strip[4 : 4 + len(scaled), first : width - last] = (
            _blend(base, scaled) if over else _paint(scaled)
        )
    for text, left in zip(texts, (0, width - last + 4)):
        place = (left, round(height * 0.72))
        cv2.putText(strip, text, place, _FONT, scale, (32, 32, 32), 1, cv2.LINE_AA)
    return strip


def stretch_map(values: Tensor, image: np.ndarray) -> np.ndarray:
    """Resize a map (h, w) to the size of a picture."""
    array = values.float().cpu().numpy()
    return cv2.resize(array, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map (H, W) to [0, 1], float32."""
    expect(values.ndim == 2, 'heat_map.values', 'shape (H, W)', values.shape)
    values = values.astype(np.float64)
    scaled = (np.where(np.isfinite(values), values, low) - low) / max(high - low, 1e-12)
    return scaled.clip(0, 1).astype(np.float32)


def _paint(scaled: np.ndarray) -> np.ndarray:
    levels = (scaled * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def _blend(base: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    opacity = (WEAKEST + (STRONGEST - WEAKEST) * scaled)[..., None]
    return (base * (1 - opacity) + _paint(scaled) * opacity).round().astype(np.uint8)
