"""Objects of a toy street that always face the camera: people, cycles, trees, street furniture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mmseg_uda.datasets.toy_street.canvas import Canvas
from mmseg_uda.datasets.toy_street.shapes import CIRCLE, bar, disc, rect

__all__ = ['cycle', 'lamp_post', 'person', 'sign_post', 'signal_post', 'tree']

Parts = Iterable[tuple[str, np.ndarray]]
"""Material and outline of each part, shape (K, 2), in metres, back to front."""


def _cut_out(
    canvas: Canvas,
    x: float,
    z: float,
    cls: str,
    parts: Parts,
    scale: tuple[float, float] = (1.0, 1.0),
    pick: float = 0.5,
    **picks: float,
) -> None:
    """Paint parts that face the camera; ``picks`` are those of single materials."""
    for material, outline in parts:
        canvas.card(x, z, outline * scale, cls, material, picks.get(material, pick))


def person(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A walking person."""
    # Phase: distance of each foot from the middle in the step; turn: side of the face.
    size, phase, turn = rng.uniform(0.92, 1.12), rng.uniform(-0.3, 0.3), rng.choice([-1.0, 1.0])
    shirt, trousers, hair = rng.random(3)
    canvas.cast(x - 0.25, x + 0.25, z, z + 0.4, 1.7 * size)
    legs = [
        part
        for step in (-phase, phase)
        for part in (
            ('trousers', bar((step * 0.3, 0.85), (step, 0.06), 0.21)),
            ('shoe', rect(step - 0.13, step + 0.15, 0.0, 0.09)),
        )
    ]
    body = [
        ('shirt', bar((-0.22, 1.36), (-0.3 - phase * 0.4, 0.85), 0.13)),
        ('shirt', bar((0.22, 1.36), (0.3 + phase * 0.4, 0.85), 0.13)),
        ('shirt', _TORSO),
        ('hair', disc(0.0, 1.68, 0.145, 0.17)),
        ('skin', disc(0.04 * turn, 1.65, 0.11, 0.13)),
    ]
    picks = dict(shirt=shirt, trousers=trousers, hair=hair, skin=hair)
    _cut_out(canvas, x, z, 'person', legs + body, (size, size), **picks)


_TORSO = np.array(
    [[-0.21, 0.78], [0.21, 0.78], [0.27, 1.42], [0.12, 1.5], [-0.12, 1.5], [-0.27, 1.42]]
)
_RIDER = (
    ('trousers', bar((-0.18, 1.02), (0.12, 1.02 - 0.35), 0.22)),
    ('trousers', bar((0.12, 1.02 - 0.3), (-0.02, 0.25), 0.19)),
    ('jersey', np.array([[-0.34, 0.94], [0.04, 0.94], [0.32, 1.52], [0.1, 1.68], [-0.16, 1.52]])),
    ('jersey', bar((0.16, 1.5), (0.48, 1.02 + 0.16), 0.15)),
    ('skin', disc(0.2, 1.82, 0.16, 0.18)),
    ('helmet', disc(0.19, 1.9, 0.19, 0.14)),
)
_CRANK, _SADDLE, _HEAD, _HUB = (-0.05, 0.34), (-0.24, 0.88), (0.4, 0.86), (-0.56, 0.36)
_FRAME = (
    (_HUB, _CRANK),
    (_HUB, _SADDLE),
    (_CRANK, _SADDLE),
    (_CRANK, _HEAD),
    (_SADDLE, _HEAD),
    (_HEAD, (0.56, 0.36)),
    (_HEAD, (0.36, 1.06)),
)
_BICYCLE = (
    ('tyre', disc(-0.56, 0.36, 0.38, 0.36)),
    ('spokes', disc(-0.56, 0.36, 0.28, 0.26)),
    ('tyre', disc(0.56, 0.36, 0.38, 0.36)),
    ('spokes', disc(0.56, 0.36, 0.28, 0.26)),
    *(('bike', bar(start, end, 0.1)) for start, end in _FRAME),
    ('tyre', rect(-0.4, -0.1, 0.88, 0.97)),
    ('tyre', rect(0.26, 0.56, 1.02, 1.1)),
)
_TANK = [[-0.9, 0.86], [-0.3, 0.5], [0.42, 0.52], [0.62, 1.08], [0.1, 1.06], [-0.3, 0.82]]
_MOTORCYCLE = (
    ('tyre', disc(-0.72, 0.36, 0.38, 0.36)),
    ('hub', disc(-0.72, 0.36, 0.17, 0.16)),
    ('tyre', disc(0.72, 0.36, 0.38, 0.36)),
    ('hub', disc(0.72, 0.36, 0.17, 0.16)),
    ('hub', bar((0.72, 0.36), (0.4, 1.12), 0.12)),
    ('tyre', np.array([[-0.5, 0.3], [0.4, 0.3], [0.52, 0.62], [-0.4, 0.68]])),
    ('moto', np.array(_TANK)),
    ('tyre', rect(-0.62, 0.02, 0.8, 0.92)),
    ('moto', bar((0.5, 1.06), (0.34, 1.4), 0.14)),
    ('headlight', disc(0.62, 0.94, 0.12, 0.13)),
)


def cycle(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, ridden: bool, cls: str
) -> None:
    """A ``bicycle`` or ``motorcycle``, with its rider if ``ridden``."""
    # Parts; least width when seen aslant; share, depth and height of the shadow's footprint.
    parts, least, reach, deep, tall = (
        (_BICYCLE, 0.6, 0.8, 0.3, 0.9) if cls == 'bicycle' else (_MOTORCYCLE, 0.65, 1.0, 0.5, 1.1)
    )
    pick, wear = rng.random(2)
    wide = rng.uniform(least, 1.0) * rng.choice([-1.0, 1.0])  # seen aslant, heading left or right
    foot = reach * abs(wide)
    canvas.cast(x - foot, x + foot, z, z + deep, 1.6 if ridden else tall)
    _cut_out(canvas, x, z, cls, parts, (wide, 1.0), pick)
    if ridden:
        _cut_out(canvas, x, z - 0.02, 'rider', _RIDER, (wide, 1.0), wear)


def tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float, size: float) -> None:
    """A tree: a trunk and a crown of three shades of leaves."""
    pick, wide = rng.random(), rng.uniform(0.8, 1.1) * size
    canvas.cast(x - wide, x + wide, z - wide, z + wide, 4.2 * size)
    trunk = np.array([[-0.2, 0.0], [0.2, 0.0], [0.13, 2.6], [-0.13, 2.6]]) * size
    canvas.card(x, z, trunk, 'vegetation', 'trunk', pick)
    layers = (('leafdark', 0.0, 0.75, 9), ('leaf', 0.2, 0.55, 7), ('leaflight', 0.5, 0.3, 5))
    # The darker the leaves, the lower and the more of them.
    for material, lift, radius, count in layers:
        angle = rng.uniform(0, 2 * np.pi, count)
        reach = rng.uniform(0.3, 0.95, count) * (1.1 - lift * 0.8)
        right = np.cos(angle) * reach - lift * 0.25
        up = np.sin(angle) * reach * 0.8 + 3.1 + lift * 0.8
        # (count, 14, 2)
        blobs = np.stack([right, up], -1)[:, None] + CIRCLE * (radius, radius * 0.9)
        canvas.card(x, z, blobs * (wide, size), 'vegetation', material, pick)


def _post(canvas: Canvas, x: float, z: float, height: float, width: float = 0.2) -> None:
    canvas.cast(x - width / 2, x + width / 2, z, z + width, height)
    shapes = rect(-width / 2, width / 2, 0.0, height), rect(-width, width, 0.0, 0.25)
    _cut_out(canvas, x, z, 'pole', (('metal', shape) for shape in shapes))


def lamp_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A street lamp whose arm reaches over the road."""
    height = rng.uniform(5.0, 6.0)
    reach = -np.sign(x) * 1.5  # towards the road
    _post(canvas, x, z, height, 0.22)
    arm = bar((0.0, height), (reach, height + 0.35), 0.14)
    lamp = bar((reach * 0.8, height + 0.26), (reach * 1.3, height + 0.3), 0.26)
    _cut_out(canvas, x, z, 'pole', (('metal', arm), ('headlight', lamp)))


def signal_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A traffic light on its post."""
    height, lit = rng.uniform(2.7, 3.3), int(rng.integers(3))
    _post(canvas, x, z, height)
    parts = [('signalbox', rect(-0.36, 0.36, height - 0.15, height + 1.65))]
    for index, material in enumerate(('green', 'amber', 'red')):
        lamp = disc(0.0, height + 0.18 + 0.55 * index, 0.22, 0.22)
        parts.append((material if index == lit else 'dull', lamp))
    _cut_out(canvas, x, z, 'traffic light', parts)


_RING, _SQUARE = disc(0.0, 0.0, 0.55, 0.55), rect(-0.5, 0.5, -0.5, 0.5)
_TRIANGLE = np.array([[-0.62, -0.45], [0.62, -0.45], [0.0, 0.62]])
_DIAMOND = np.array([[0.0, -0.62], [0.62, 0.0], [0.0, 0.62], [-0.62, 0.0]])
_SIGNS: tuple[tuple[tuple[str, np.ndarray], ...], ...] = (
    (  # prohibition
        ('signred', _RING),
        ('signwhite', _RING * 0.62),
        ('tyre', rect(-0.26, 0.26, -0.07, 0.07)),
    ),
    (('signred', _TRIANGLE), ('signwhite', _TRIANGLE * 0.62)),  # warning
    (  # information
        ('signwhite', _SQUARE),
        ('signblue', _SQUARE * 0.84),
        ('signwhite', rect(-0.1, 0.1, -0.3, 0.3)),
    ),
    (('signwhite', _DIAMOND), ('signyellow', _DIAMOND * 0.84)),  # priority
)


def sign_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A traffic sign."""
    height, kind = rng.uniform(2.3, 2.9), int(rng.integers(4))
    _post(canvas, x, z, height, 0.16)
    lift = (0.0, height + 0.35)
    sign = ((material, outline + lift) for material, outline in _SIGNS[kind])
    _cut_out(canvas, x, z, 'traffic sign', sign)
