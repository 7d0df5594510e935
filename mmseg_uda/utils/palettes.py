"""Colours of classes, and legends."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from mmseg.datasets import CityscapesDataset

__all__ = ['Palette', 'distinct_palette', 'draw_legend', 'legend_of', 'palette_of']

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


def draw_legend(
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    width: int,
    title: str = '',
) -> np.ndarray:
    """Draw a strip with a coloured square and the name of each class.

    Args:
        classes: Names; characters that are not ASCII are drawn as question marks.
        palette: One RGB colour per class, in [0, 255].
        width: Width of the strip in pixels; names go on in a new row. Letters grow with it.
        title: Text before the classes.

    Returns:
        RGB, uint8, shape (H, width, 3).
    """
    zoom = max(1.0, width / 1400)
    edge, side, above = (round(zoom * size) for size in (6, 18, 5))
    row_height, font = round(zoom * _ROW), (_FONT, 0.45 * zoom)
    entries: list[tuple[str, list[int] | None]] = [(title, None)] if title else []
    entries += [(name, [int(part) for part in colour]) for name, colour in zip(classes, palette)]
    places, x, row = [], edge, 0
    for name, colour in entries:
        text = name.encode('ascii', 'replace').decode()
        indent = 0 if colour is None else side + edge
        size = indent + cv2.getTextSize(text, *font, 1)[0][0] + 3 * edge
        if x > edge and x + size > width:
            x, row = edge, row + 1
        places.append((text, colour, x, row * row_height, indent))
        x += size
    strip = np.full(((row + 1) * row_height, width, 3), 255, np.uint8)
    for text, colour, left, top, indent in places:
        if colour is not None:
            corners = (left, top + above), (left + side, top + row_height - above)
            cv2.rectangle(strip, *corners, colour, -1)
            cv2.rectangle(strip, *corners, (90, 90, 90), 1)  # white classes are seen, too
        place = (left + indent, top + round(0.71 * row_height))
        cv2.putText(strip, text, place, *font, (32, 32, 32), 1, cv2.LINE_AA)
    return strip


def legend_of(
    present: Iterable[int],
    classes: Sequence[str] | None,
    palette: Sequence[Sequence[int]],
    width: int,
    title: str = '',
) -> np.ndarray:
    """Draw the legend of the classes that occur; what is no class is listed as ``ignored``.

    Args:
        present: Class ids, others too, in any order.
        classes: Name of each class; None for numbers.
        palette: One RGB colour per class, in [0, 255].
        width: Width of the strip in pixels.
        title: Text before the classes.
    """
    ids = sorted(set(present))
    shown = [index for index in ids if 0 <= index < len(palette)]
    names = [classes[index] if classes else f'class {index}' for index in shown]
    colours = [list(palette[index]) for index in shown]
    if len(shown) < len(ids):
        names, colours = [*names, 'ignored'], [*colours, [0, 0, 0]]
    return draw_legend(names, colours, width, title)
