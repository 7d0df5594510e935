"""Pictures of images, labels and maps as plain arrays.

Every picture is RGB, uint8, shape (H, W, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.utils.arguments import expect

__all__ = [
    'as_rgb',
    'denormalize',
    'error_map',
    'grey',
    'label_to_color',
    'loaded_to_rgb',
    'mark_points',
    'outline_similar',
    'overlay',
    'place_points',
    'save_picture',
]

SIMILAR = 86  # distance of two RGB colours below which people mix them up
WRONG = (230, 60, 40)
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


def outline_similar(
    picture: np.ndarray, label: np.ndarray, palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """Draw a line between neighbouring classes whose colours are hard to tell apart.

    In Cityscapes' palette, car, truck, bus and train are four dark blues.

    Args:
        picture: The picture of the label, or an overlay of it, shape (H, W, 3).
        label: Class ids, shape (H, W).
        palette: One RGB colour per class, in [0, 255].

    Returns:
        A copy; the line is white between dark colours and black between bright ones.
    """
    colours = np.asarray(palette, dtype=np.float32).reshape(-1, 3)
    # (C, C): pairs of similar classes; one more row and column for ignored pixels, which have none.
    close = np.linalg.norm(colours[:, None] - colours[None], axis=2) < SIMILAR
    close = np.pad(close & ~np.eye(len(colours), dtype=bool), (0, 1))
    bright = np.append(colours.mean(1) > 127, False)
    label = np.where((label >= 0) & (label < len(colours)), label, len(colours))
    picture, step = picture.copy(), max(1, label.shape[1] // 512)  # pixels of the line
    for shift in range(1, step + 1):
        for one, other in (
            ((slice(shift, None), slice(None)), (slice(None, -shift), slice(None))),
            ((slice(None), slice(shift, None)), (slice(None), slice(None, -shift))),
        ):
            border = close[label[one], label[other]]
            picture[one][border] = np.where(bright[label[one]][border], 0, 255)[:, None]
    return picture


def grey(image: np.ndarray) -> np.ndarray:
    """Take the colours out of a picture, and some contrast, so that it can lie under colours."""
    levels = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low, high = np.percentile(levels, (1, 99))
    levels = (levels - low) / max(1.0, float(high - low))
    levels = 70 + 150 * levels.clip(0, 1)
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)


def error_map(image: np.ndarray, label: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Paint wrong pixels red over the image in grey; pixels without a class are darkened.

    Args:
        image: RGB picture, shape (H, W, 3).
        label: Predicted ids, shape (H, W).
        truth: Ids of the ground truth, shape (H, W).
        classes: Number of classes; other ids of the ground truth count as ignored.
    """
    picture = grey(image)
    known = (truth >= 0) & (truth < classes)
    wrong = known & (label != truth)
    picture[~known] //= 3
    picture[wrong] = (0.25 * picture[wrong] + 0.75 * np.array(WRONG)).astype(np.uint8)
    return picture


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


def save_picture(image: np.ndarray, path: Path) -> None:
    """Write a picture atomically, in the format of the path's suffix; an older one moves aside."""
    content = cv2.imencode(path.suffix or '.png', image[..., ::-1])[1]
    with atomic_write(path, keep=True) as partial:
        partial.write_bytes(content.tobytes())
