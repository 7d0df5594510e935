"""Pictures of images, labels and maps as plain arrays.

Every picture is RGB, uint8, shape (H, W, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.utils.arguments import expect

__all__ = [
    'as_rgb',
    'contact_sheet',
    'denormalize',
    'heat_map',
    'label_to_color',
    'loaded_to_rgb',
    'mark_points',
    'overlay',
    'place_points',
    'save_picture',
    'stretch_map',
    'tile_panel',
]

Tile = tuple[str, np.ndarray]

_BACKGROUND = 255
_INK = (32, 32, 32)
_MARGIN = 6
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def label_to_color(
    label: np.ndarray,
    palette: Sequence[Sequence[int]],
    ignore_color: Sequence[int] = (0, 0, 0),
) -> np.ndarray:
    """Paint a label map.

    Args:
        label: Class ids, shape (H, W). An id without a colour, such as 255, counts as ignored.
        palette: One RGB colour per class, in [0, 255].
        ignore_color: The RGB colour of ignored pixels.

    Raises:
        ValueError: If ``label`` is not (H, W).
    """
    expect(label.ndim == 2, 'label_to_color.label', 'shape (H, W)', label.shape)
    table = np.array([*palette, ignore_color], dtype=np.uint8)
    known = (label >= 0) & (label < len(palette))
    return table[np.where(known, label, len(palette))]


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Make a picture of an image of any number of channels.

    Args:
        image: Shape (H, W, C): one channel is repeated; of more than three the first three count,
            and of two the second is used twice.
    """
    channels = [min(channel, image.shape[2] - 1) for channel in range(3)]
    return np.ascontiguousarray(image[..., channels])


def loaded_to_rgb(image: np.ndarray) -> np.ndarray:
    """Make a picture of an image as loaders give it.

    Args:
        image: Shape (C, H, W), BGR if it has three channels, in [0, 255]. If a value is larger, as
            in images of 16 bits, the largest one becomes white.
    """
    pixels = image * (255 / max(255.0, float(image.max())))
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return as_rgb((pixels[::-1] if len(pixels) == 3 else pixels).transpose(1, 2, 0))


def denormalize(
    image: np.ndarray,
    mean: Sequence[float],
    std: Sequence[float],
    bgr: bool = False,
) -> np.ndarray:
    """Undo a network's input normalisation.

    Args:
        image: Normalised image, shape (3, H, W).
        mean: Mean of each channel that was subtracted, in [0, 255].
        std: Standard deviation of each channel that was divided by.
        bgr: The channels are in BGR order (caffe weights).

    Raises:
        ValueError: If ``image`` is not (3, H, W).
    """
    of_one_image = image.ndim == 3 and image.shape[0] == 3
    expect(of_one_image, 'denormalize.image', 'shape (3, H, W)', image.shape)
    # (3, H, W) to (H, W, 3)
    pixels = image.transpose(1, 2, 0) * np.asarray(std) + np.asarray(mean)
    pixels = pixels.round().clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., ::-1] if bgr else pixels)


def heat_map(
    values: np.ndarray,
    low: float | None = None,
    high: float | None = None,
) -> np.ndarray:
    """Paint a map of numbers from dark (low) to bright (high).

    Args:
        values: Shape (H, W), any float or integer type. NaN and infinities are painted as ``low``.
        low: The value of the darkest colour. Default: the smallest finite value.
        high: The value of the brightest colour. Default: the largest finite value.

    Raises:
        ValueError: If ``values`` is not (H, W).
    """
    expect(values.ndim == 2, 'heat_map.values', 'shape (H, W)', values.shape)
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    known = values[finite] if finite.any() else np.zeros(1)
    low = float(known.min()) if low is None else low
    high = float(known.max()) if high is None else high
    scaled = (np.where(finite, values, low) - low) / max(high - low, 1e-12)
    levels = (scaled.clip(0, 1) * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def overlay(image: np.ndarray, color: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Lay a picture over another one.

    Args:
        image: The lower picture.
        color: The upper picture; resized to ``image`` if its size differs.
        alpha: Opacity of ``color``, in [0, 1].
    """
    height, width = image.shape[:2]
    if color.shape[:2] != (height, width):
        color = cv2.resize(color, (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.addWeighted(image, 1 - alpha, color, alpha, 0)


def mark_points(image: np.ndarray, points: Sequence[tuple[int, int]]) -> np.ndarray:
    """Number points on a copy of a picture.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        points: Pairs (x, y) in pixels.
    """
    image = image.copy()
    radius = max(4, image.shape[1] // 80)
    for number, point in enumerate(points, 1):
        cv2.circle(image, point, radius, (255, 255, 255), -1)
        cv2.circle(image, point, radius - 1, (230, 30, 30), -1)
        corner = point[0] + radius + 1, point[1] + radius
        font = _FONT, radius / 8
        for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(image, str(number), corner, *font, color, width, cv2.LINE_AA)
    return image


def place_points(
    points: Sequence[tuple[int, int]], size: tuple[int, ...], grid: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Move points from an image to a grid over it.

    Args:
        points: Pairs (x, y) in pixels.
        size: Height and width of the image.
        grid: Height and width of the grid.

    Raises:
        ValueError: A point lies outside the image.
    """
    (height, width), moved = size, []
    for x, y in points:
        expect(
            0 <= x < width and 0 <= y < height,
            'points',
            f'pixels of an image of {width}x{height}',
            f'{x},{y}',
        )
        moved.append((int((x + 0.5) * grid[1] / width), int((y + 0.5) * grid[0] / height)))
    return moved


def stretch_map(values: Tensor, image: np.ndarray) -> np.ndarray:
    """Resize a map (h, w) to the size of a picture."""
    array = values.float().cpu().numpy()
    return cv2.resize(array, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def tile_panel(rows: Sequence[Sequence[Tile]], cell_width: int = 512) -> np.ndarray:
    """Arrange captioned pictures on one sheet.

    Args:
        rows: Rows of (ASCII caption, picture). Rows may differ in length; gaps stay white.
        cell_width: Width of one picture on the sheet, in pixels. The height follows the first
            picture's shape; others are fitted into the same cell without distortion.

    Raises:
        ValueError: If there is no picture, or one is not RGB uint8.
    """
    first = next((image for row in rows for _, image in row), None)
    if first is None:
        raise ValueError(
            'tile_panel.rows: expected pictures, but got none; write a (caption, picture) or more'
        )
    cell_height = max(1, round(cell_width * first.shape[0] / first.shape[1]))
    columns = max(len(row) for row in rows)
    blank = _blank(cell_height, cell_width)
    lines = []
    for row in rows:
        captions = [_caption(text, cell_width) for text, _ in row]
        if any(text for text, _ in row):
            filler = [_caption('', cell_width)] * (columns - len(row))
            lines.append(_join(captions + filler))
        pictures = [_fit(image, cell_height, cell_width) for _, image in row]
        lines.append(_join(pictures + [blank] * (columns - len(row))))
        lines.append(_blank(_MARGIN, lines[-1].shape[1]))
    return np.concatenate([_blank(_MARGIN, lines[0].shape[1]), *lines])


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    cell_width: int = 384,
) -> np.ndarray:
    """Arrange one image per row and one kind of picture per column, with titles above the columns.

    Args:
        rows: Pictures, ``len(titles)`` in each row.
        titles: One ASCII title per column.
        cell_width: Width of one picture on the sheet, in pixels.

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
    return tile_panel(tiles, cell_width)


def save_picture(image: np.ndarray, path: Path) -> None:
    """Write a picture atomically, in the format of the path's suffix; an older one moves aside."""
    content = cv2.imencode(path.suffix or '.png', image[..., ::-1])[1]
    with atomic_write(path, keep=True) as partial:
        partial.write_bytes(content.tobytes())


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


def _caption(text: str, width: int) -> np.ndarray:
    """Draw a strip with a text, its letters shrunk until they fit into the width."""
    size = min(0.6, max(0.35, width / 640))
    (text_width, _), _ = cv2.getTextSize(text, _FONT, size, 1)
    size *= min(1.0, width / max(text_width, 1))
    strip = _blank(22, width)
    cv2.putText(strip, text, (0, 16), _FONT, size, _INK, 1, cv2.LINE_AA)
    return strip
