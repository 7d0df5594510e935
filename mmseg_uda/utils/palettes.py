"""Colours of classes, and legends."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from mmseg.datasets import CityscapesDataset

__all__ = ['Palette', 'distinct_palette', 'draw_legend', 'palette_of']

Palette = list[list[int]]

_KNOWN = dict(zip(CityscapesDataset.METAINFO['classes'], CityscapesDataset.METAINFO['palette']))
_GOLDEN = 0.618034  # of a turn; hues of neighbours lie far apart
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_ROW = 24  # pixels


def distinct_palette(count: int) -> Palette:
    """Make colours that differ, (R, G, B) in 0..255, always the same ones."""
    colours = []
    for index in range(count):
        value, saturation = ((0.95, 0.75), (0.65, 0.85), (0.85, 0.45))[index % 3]
        rgb = colorsys.hsv_to_rgb(index * _GOLDEN % 1, saturation, value)
        colours.append([round(255 * part) for part in rgb])
    return colours


def palette_of(classes: Sequence[str]) -> Palette:
    """Make colours for classes: Cityscapes' where all names are its own, else distinct ones."""
    names = [name.strip().lower().replace('_', ' ') for name in classes]
    if all(name in _KNOWN for name in names):
        return [list(_KNOWN[name]) for name in names]
    return distinct_palette(len(classes))


def draw_legend(classes: Sequence[str], palette: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """Draw a strip with a coloured square and the name of each class.

    Args:
        classes: Names; characters that are not ASCII are drawn as question marks.
        palette: One RGB colour per class, in [0, 255].
        width: Width of the strip in pixels; names go on in a new row.

    Returns:
        RGB, uint8, shape (H, width, 3).
    """
    places, x, row = [], 6, 0
    for name in classes:
        text = name.encode('ascii', 'replace').decode()
        size = 26 + cv2.getTextSize(text, _FONT, 0.45, 1)[0][0] + 14
        if x > 6 and x + size > width:
            x, row = 6, row + 1
        places.append((text, x, row * _ROW))
        x += size
    strip = np.full(((row + 1) * _ROW, width, 3), 255, np.uint8)
    for (text, left, top), colour in zip(places, palette):
        corners = (left, top + 5), (left + 18, top + 19)
        cv2.rectangle(strip, *corners, [int(part) for part in colour], -1)
        cv2.rectangle(strip, *corners, (90, 90, 90), 1)  # white classes are seen, too
        place = (left + 24, top + 17)
        cv2.putText(strip, text, place, _FONT, 0.45, (32, 32, 32), 1, cv2.LINE_AA)
    return strip
