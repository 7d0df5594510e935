"""Sheets of captioned pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from mmseg_uda.utils.arguments import expect
from mmseg_uda.utils.heat_maps import Limits, color_bar, heat_map, heat_over, limits_of

__all__ = ['Tile', 'contact_sheet', 'heat_tile', 'in_rows', 'tile_panel']

_BACKGROUND = 255
_INK = (32, 32, 32)
_MARGIN = 6
_CAPTION = 22  # height of a caption in pixels
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Tile(NamedTuple):
    """A picture on a sheet.

    Args:
        caption: Its caption, ASCII.
        picture: RGB, uint8, shape (H, W, 3).
        limits: Range of a heat map, whose colour bar stands in the caption.
        over: The heat map lies over an image.
    """

    caption: str
    picture: np.ndarray
    limits: Limits | None = None
    over: bool = False


def heat_tile(
    caption: str,
    values: np.ndarray,
    image: np.ndarray | None = None,
    limits: Limits | None = None,
) -> Tile:
    """Make a tile of a map of numbers, with its colour bar.

    Args:
        caption: Its caption.
        values: Shape (H, W).
        image: Picture under the map; None for the map alone.
        limits: Range of the colours; None for that of :func:`limits_of`.
    """
    low, high = limits_of(values) if limits is None else limits
    if image is None:
        return Tile(caption, heat_map(values, low, high), (low, high))
    return Tile(caption, heat_over(image, values, low, high), (low, high), over=True)


def in_rows(tiles: Sequence[Tile], columns: int) -> list[list[Tile]]:
    """Cut tiles into rows of at most ``columns``, as even as can be.

    Example:
        >>> [len(row) for row in in_rows([Tile('', np.zeros((1, 1, 3)))] * 5, columns=4)]
        [3, 2]
    """
    count = -(-len(tiles) // columns)
    length = -(-len(tiles) // max(1, count))
    return [list(tiles[i : i + length]) for i in range(0, len(tiles), max(1, length))]


def tile_panel(
    rows: Sequence[Sequence[Tile | tuple[str, np.ndarray] | None]],
    cell_width: int = 512,
    footer: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray:
    """Arrange captioned pictures on one sheet.

    Args:
        rows: Rows of tiles, or of (ASCII caption, picture). Rows may differ in length; gaps, and
            places with None, stay white.
        cell_width: Width of one picture on the sheet, in pixels. The height follows the first
            picture's shape; others are fitted into the same cell without distortion.
        footer: Makes a strip to put below all rows, of a given width, such as a legend.

    Raises:
        ValueError: If there is no picture, or one is not RGB uint8.
    """
    tiles = [[None if each is None else Tile(*each) for each in row] for row in rows]
    first = next((each.picture for row in tiles for each in row if each is not None), None)
    if first is None:
        raise ValueError(
            'tile_panel.rows: expected pictures, but got none; write a (caption, picture) or more'
        )
    cell_height = max(1, round(cell_width * first.shape[0] / first.shape[1]))
    columns = max(len(row) for row in tiles)
    blank = _blank(cell_height, cell_width)
    lines = []
    for row in tiles:
        full = [*row, *[None] * (columns - len(row))]
        if any(each is not None and (each.caption or each.limits) for each in row):
            lines.append(_join([_caption(each, cell_width) for each in full]))
        pictures = [
            blank if each is None else _fit(each.picture, cell_height, cell_width) for each in full
        ]
        lines.append(_join(pictures))
        lines.append(_blank(_MARGIN, lines[-1].shape[1]))
    width = lines[0].shape[1]
    below = [] if footer is None else [footer(width)]
    return np.concatenate([_blank(_MARGIN, width), *lines, *below])


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    cell_width: int = 384,
    footer: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray:
    """Arrange one image per row and one kind of picture per column, with titles above the columns.

    Args:
        rows: Pictures, ``len(titles)`` in each row.
        titles: One ASCII title per column.
        cell_width: Width of one picture on the sheet, in pixels.
        footer: As for :func:`tile_panel`.

    Raises:
        ValueError: If a row has another number of pictures.
    """
    for index, row in enumerate(rows):
        if len(row) != len(titles):
            raise ValueError(
                f'contact_sheet.rows[{index}]: expected {len(titles)} pictures, but got '
                f'{len(row)}; write one per title'
            )
    tiles = [
        [(title if index == 0 else '', image) for title, image in zip(titles, row)]
        for index, row in enumerate(rows)
    ]
    return tile_panel(tiles, cell_width, footer)


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)


def _join(cells: Sequence[np.ndarray]) -> np.ndarray:
    gap = _blank(cells[0].shape[0], _MARGIN)
    return np.concatenate([gap, *(part for cell in cells for part in (cell, gap))], axis=1)


def _fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a picture into a cell without distortion, and centre it on white."""
    fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    got = f'{image.dtype} {image.shape}'
    expect(fits, 'tile_panel.rows', 'pictures of uint8 (H, W, 3)', got)
    scale = min(height / image.shape[0], width / image.shape[1])
    new_height = min(height, max(1, round(image.shape[0] * scale)))
    new_width = min(width, max(1, round(image.shape[1] * scale)))
    # Enlarged pixels stay square: a blurred label would show colours of absent classes.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    resized = cv2.resize(np.ascontiguousarray(image), (new_width, new_height), interpolation=method)
    cell = _blank(height, width)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    cell[top : top + new_height, left : left + new_width] = resized
    return cell


def _caption(tile: Tile | None, width: int) -> np.ndarray:
    """Draw a strip with a text, its letters shrunk until they fit, and a colour bar at its end."""
    strip, end = _blank(_CAPTION, width), width
    if tile is None:
        return strip
    if tile.limits is not None:
        bar = min(160, width * 2 // 5)
        end = width - bar - _MARGIN
        strip[:, -bar:] = color_bar(*tile.limits, (_CAPTION, bar), tile.over)
    size = min(0.6, max(0.35, width / 640))
    (text_width, _), _ = cv2.getTextSize(tile.caption, _FONT, size, 1)
    size *= min(1.0, max(end, 1) / max(text_width, 1))
    cv2.putText(strip, tile.caption, (0, 16), _FONT, size, _INK, 1, cv2.LINE_AA)
    return strip
