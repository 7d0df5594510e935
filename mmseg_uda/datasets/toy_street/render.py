"""The two looks of a toy street: a clean render at noon and a cheap dashcam at dusk."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from mmseg_uda.datasets.toy_street.canvas import NORMALS, Canvas
from mmseg_uda.datasets.toy_street.palettes import COLOURS, MATERIALS
from mmseg_uda.datasets.toy_street.scene import compose
from mmseg_uda.utils.arguments import check_choice

__all__ = ['DOMAINS', 'SPLITS', 'VERSION', 'draw']

DOMAINS = ('source', 'target')
SPLITS = ('train', 'val')
VERSION = 1  # raise when the same seed gives other pixels


def draw(
    domain: str, split: str, index: int, seed: int = 0, size: tuple[int, int] = (128, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image with its label, a pure function of the arguments.

    Args:
        domain: ``'source'`` or ``'target'``.
        split: ``'train'`` or ``'val'``.
        index: Number of the image in its split.
        seed: Seed of the whole set.
        size: Height and width in pixels.

    Returns:
        Image of shape (H, W, 3), BGR, uint8; label of shape (H, W), Cityscapes' train ids with
        255 = ignore, uint8.

    Example:
        >>> image, label = draw('source', 'train', index=0, size=(32, 64))
        >>> image.shape, label.shape, label.dtype
        ((32, 64, 3), (32, 64), dtype('uint8'))
    """
    check_choice('draw.domain', domain, DOMAINS)
    check_choice('draw.split', split, SPLITS)
    key = [seed, DOMAINS.index(domain), SPLITS.index(split), index]
    # Two streams: changes of the looks do not move the objects.
    layout, look = (
        np.random.Generator(np.random.PCG64(child))
        for child in np.random.SeedSequence(key).spawn(2)
    )
    canvas = compose(layout, *size)
    classes = np.array([item[0] for item in canvas.attributes], np.uint8)
    # A label takes one map pixel of each image pixel: classes cannot be averaged.
    label = classes[canvas.parts[:: canvas.supersample, :: canvas.supersample]]
    render = _render_source if domain == 'source' else _render_target
    return render(canvas, look), label


@functools.lru_cache(maxsize=2)
def _palette(domain: str) -> tuple[np.ndarray, np.ndarray]:
    """Colours, shape (materials, most, 3), RGB in [0, 1], and how many each material has."""
    column = DOMAINS.index(domain)
    rows = [
        [
            [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
            for code in COLOURS[name][column].split()
        ]
        for name in MATERIALS
    ]
    colours = np.zeros((len(rows), max(map(len, rows)), 3), np.float32)
    for row, values in zip(colours, rows):
        row[: len(values)] = values
    return colours, np.array([len(row) for row in rows])


def _albedo(canvas: Canvas, domain: str, jitter: float) -> np.ndarray:
    """Colour of every part, shape (parts, 3), RGB in [0, 1]."""
    values = np.array([item[1:] for item in canvas.attributes], np.float32)  # (parts, 5)
    material, pick, tone = values[:, 0].astype(int), values[:, 2], values[:, 3]
    colours, count = _palette(domain)
    # The integer part of `place` chooses the colour, the rest of it jitters the brightness.
    place = pick * count[material]
    shade = tone * (1 + jitter * (2 * (place % 1) - 1))
    return colours[material, place.astype(int)] * shade[:, None]


def _shrink(canvas: Canvas, values: np.ndarray) -> np.ndarray:
    """Values of every part, shape (parts, ...), to an antialiased image."""
    height, width = (side // canvas.supersample for side in canvas.shape)
    fine = values.astype(np.float32).take(canvas.parts, 0)  # (supersample H, supersample W, ...)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


def _render_source(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Flat colours without light, texture or camera."""
    colour = _albedo(canvas, 'source', 0.07) * rng.uniform(0.97, 1.03, 3)
    image = _shrink(canvas, np.clip(colour, 0, 1))
    return np.rint(image[..., ::-1] * 255).astype(np.uint8)


@functools.lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """Tiles of grain, blotches and courses with zero mean and unit spread, (3, 512, 1024)."""
    rng = np.random.Generator(np.random.PCG64(20240))
    tiles = []
    for sigma in ((0.8, 0.8), (3.0, 3.0), (6.0, 0.8)):  # courses are wide and flat
        tile = rng.standard_normal((512, 1024), np.float32)
        tile = cv2.GaussianBlur(tile, (0, 0), sigmaX=sigma[0], sigmaY=sigma[1])
        tiles.append((tile - tile.mean()) / tile.std())
    return np.stack(tiles)


# Grain, blotches and courses of the rougher materials; others get `_SMOOTH`.
_SMOOTH = (0.03, 0.03, 0.0)
_ROUGH = {
    'asphalt': (0.09, 0.05, 0.0),
    'paving': (0.1, 0.08, 0.06),
    'plaster': (0.06, 0.08, 0.1),
    'skyline': (0.04, 0.1, 0.0),
    'roof': (0.06, 0.04, 0.16),
    'brick': (0.1, 0.06, 0.16),
    'leafdark': (0.24, 0.2, 0.0),
    'leaf': (0.24, 0.2, 0.0),
    'leaflight': (0.24, 0.16, 0.0),
    'grass': (0.18, 0.14, 0.0),
    'grasslight': (0.18, 0.14, 0.0),
    'trunk': (0.2, 0.1, 0.0),
    'sky': (0.0, 0.03, 0.03),
    'cloud': (0.0, 0.06, 0.03),
    'gap': (0.2, 0.2, 0.0),
}
_GLOW = {'lit': 0.75, 'headlight': 1.0, 'taillight': 0.7, 'red': 1.2, 'amber': 1.0, 'green': 1.2}


def _per_material(table: Mapping[str, Any], default: Any, canvas: Canvas) -> np.ndarray:
    """Values of every part's material, shape (parts, ...)."""
    values = np.array([table.get(name, default) for name in MATERIALS], np.float32)
    return values[[item[1] for item in canvas.attributes]]


def _texture(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Factor of the surface's texture, shape (H, W)."""
    strength = _shrink(canvas, _per_material(_ROUGH, _SMOOTH, canvas))  # (H, W, 3)
    height, width = strength.shape[:2]
    tiles, factor = _noise(), np.ones((height, width), np.float32)
    for channel, tile in enumerate(tiles):
        row, column = rng.integers(512), rng.integers(1024)
        shifted = np.roll(tile, (row, column), (0, 1))
        # As many tiles as cover the image.
        repeat = (-(-height // 512), -(-width // 1024))
        factor += strength[..., channel] * np.tile(shifted, repeat)[:height, :width]
    return np.maximum(factor, 0.2)


def _shadows(canvas: Canvas, slant: tuple[float, float]) -> np.ndarray:
    """Share of ground in shadow, shape (H, W); ``slant`` is the shift per metre of height."""
    mask = np.zeros(canvas.shape, np.uint8)
    for x0, x1, z0, z1, tall in canvas.casters:
        # The shadow of a box is the hull of its footprint and of that of its shifted top.
        dx, dz = slant[0] * tall, slant[1] * tall
        foot = np.array([[x0, 0, z0], [x1, 0, z0], [x1, 0, z1], [x0, 0, z1]])
        hull = cv2.convexHull(
            np.concatenate([foot, foot + np.array([dx, 0, dz])])[:, [0, 2]].astype(np.float32)
        )[:, 0]
        ground = np.stack([hull[:, 0], np.zeros(len(hull)), hull[:, 1]], -1)
        corners = np.clip(canvas.project(ground), -4e3, 4e3)
        cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
    height, width = (side // canvas.supersample for side in canvas.shape)
    small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 1.2).astype(np.float32) / 255


def _render_target(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Textured, lit by a low sun, hazy, glowing, then seen through a cheap camera."""
    sun = rng.uniform(-1.0, 1.0)  # -1: far left, 1: far right
    side = rng.uniform(0.2, 0.35) * np.sign(sun)
    facing = {'screen': 1.0, 'up': 0.97, 'front': 0.82, 'left': 0.9 - side, 'right': 0.9 + side}
    light = np.array([facing[name] for name in NORMALS], np.float32)
    normal = np.array([item[2] for item in canvas.attributes])
    # Lit surfaces are warm, those in the shade are blue: (parts, 3).
    warm = np.where(light[normal, None] > 0.9, [1.06, 1.0, 0.9], [0.92, 0.97, 1.08])
    colour = _albedo(canvas, 'target', 0.16)
    image = _shrink(canvas, colour * light[normal, None] * warm) * _texture(canvas, rng)[..., None]
    flat = _shrink(canvas, normal == NORMALS.index('up'))
    shade = flat * _shadows(canvas, (-2.2 * sun, -rng.uniform(0.2, 0.8)))
    # A shadow keeps more blue than red.
    image *= 1 - shade[..., None] * np.array([0.5, 0.44, 0.34], np.float32)
    image = _air(canvas, rng, image, sun)
    glow = _shrink(canvas, colour * _per_material(_GLOW, 0.0, canvas)[:, None])
    image += 0.35 * glow + 0.9 * cv2.GaussianBlur(glow, (0, 0), 0.012 * image.shape[1])
    return _camera(rng, image)


def _air(canvas: Canvas, rng: np.random.Generator, image: np.ndarray, sun: float) -> np.ndarray:
    """Sky gradient, sun and haze."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    horizon = canvas.horizon / canvas.supersample
    up = np.clip((horizon - rows) / horizon, 0, 1)[..., None]
    haze = np.array([0.93, 0.66, 0.47], np.float32) * np.float32(rng.uniform(0.9, 1.05))
    top = np.array([0.36, 0.36, 0.55], np.float32)
    depth = np.array([item[5] for item in canvas.attributes], np.float32)
    far = _shrink(canvas, np.minimum(depth, 300.0))
    sky = _shrink(canvas, depth > 900.0)[..., None]
    # Distance of the ground in each row, which a large part has no single depth for.
    below = 0.5 * canvas.focal * canvas.eye / np.maximum(rows - horizon, 0.5)
    far = np.where(rows > horizon, np.minimum(far, below), far)
    veil = 1 - np.exp(-far / rng.uniform(90.0, 150.0))[..., None]
    image = image * (1 - veil * (1 - sky)) + haze * 0.85 * veil * (1 - sky)
    blend = up**0.7
    image = image * (1 - 0.8 * sky) + 0.8 * sky * (haze * (1 - blend) + top * blend)
    place = width * (0.5 + 0.35 * sun)  # of the sun, near the horizon
    reach = ((columns - place) / (0.3 * width)) ** 2 + (
        (rows - 0.8 * horizon) / (0.3 * height)
    ) ** 2
    return image + 0.25 * np.exp(-reach)[..., None] * haze


def _camera(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Vignette, white balance, gamma, blur, noise and compression; returns BGR, uint8."""
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    balance = np.array([1.05, 0.97, 0.9]) * rng.uniform(0.94, 1.06, 3) * rng.uniform(0.95, 1.2)
    image = image * (1 - rng.uniform(0.1, 0.2) * (x * x + y * y))[..., None]
    image = np.clip(image * balance.astype(np.float32), 0, 1.4) ** rng.uniform(0.85, 1.05)
    image = cv2.GaussianBlur(image * 0.9 + 0.03, (0, 0), rng.uniform(0.4, 0.75) * width / 256)
    noise = rng.standard_normal(image.shape, np.float32)
    image += noise * (0.02 * np.sqrt(np.maximum(image, 0.05)) + 0.006)
    pixels = np.clip(image[..., ::-1] * 255, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 85))]
    packed = cv2.imencode('.jpg', pixels, quality)[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
