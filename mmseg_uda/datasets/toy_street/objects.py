"""What stands and moves in a toy street: traffic, people, trees and street furniture."""

from __future__ import annotations

import numpy as np

from mmseg_uda.datasets.toy_street.canvas import Canvas, cells

__all__ = [
    'bicycle',
    'car',
    'coach',
    'lamp_post',
    'motorcycle',
    'person',
    'sign_post',
    'signal_post',
    'tree',
    'truck',
]

_ANGLES = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)


def disc(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Outline of an ellipse, shape (14, 2)."""
    return _CIRCLE * (rx, ry) + (x, y)


def rect(x0: float, x1: float, y0: float, y1: float) -> np.ndarray:
    """Outline of a rectangle, shape (4, 2)."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def bar(start: tuple[float, float], end: tuple[float, float], width: float) -> np.ndarray:
    """Outline of a straight bar, shape (4, 2)."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
    side = np.array([-along[1], along[0]]) * width / 2
    return np.stack([a - side, b - side, b + side, a + side])


def _wheels(
    canvas: Canvas, seen: dict[str, np.ndarray], places: tuple[float, ...], radius: float, cls: str
) -> None:
    """Wheels on the visible long side, at shares ``places`` of its length."""
    for side in ('left', 'right'):
        if side not in seen:
            continue
        near, far = seen[side][0], seen[side][1]
        for place in places:
            x, z = near[0], near[2] + (far[2] - near[2]) * place
            for size, material in ((1.0, 'tyre'), (0.5, 'hub')):
                rim = _CIRCLE * radius * size
                points = np.stack([np.full(len(rim), x), radius + rim[:, 1], z + rim[:, 0]], -1)
                canvas.fill(points, cls, material, side)


def _lights(
    canvas: Canvas, front: np.ndarray, v: tuple[float, float], cls: str, oncoming: bool
) -> None:
    lamps = cells(front, np.array([0.04, 0.8]), np.array([0.2, 0.96]), *v)
    canvas.fill(lamps, cls, 'headlight' if oncoming else 'taillight')


def car(canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """A passenger car of 1.8 m × 4.2 m whose near end is at ``z``."""
    pick = rng.random()
    half, length, tall = rng.uniform(0.84, 0.94), rng.uniform(3.8, 4.4), rng.uniform(1.42, 1.62)
    base = (x - half, x + half, z, z + length)
    canvas.cast(*base, tall)
    canvas.fill(
        cells(
            np.array([[x - half, 0, z], [x + half, 0, z], [x + half, 0.4, z], [x - half, 0.4, z]]),
            np.array([0.04, 0.74]),
            np.array([0.26, 0.96]),
            0.0,
            1.0,
        ),
        'car',
        'tyre',
    )
    body = canvas.box(base, 0.26, base, 0.88, 'car', 'paint', pick)
    _wheels(canvas, body, (0.2, 0.8), 0.33, 'car')
    bonnet, boot = (1.1, 0.35) if oncoming else (0.35, 1.1)
    foot = (x - half * 0.94, x + half * 0.94, z + bonnet * 0.7, z + length - boot * 0.7)
    roof = (x - half * 0.74, x + half * 0.74, z + bonnet + 0.35, z + length - boot - 0.35)
    cabin = canvas.box(foot, 0.88, roof, tall, 'car', 'paint', pick)
    canvas.fill(cells(cabin['front'], 0.09, 0.91, 0.1, 0.84), 'car', 'glass')
    for side in ('left', 'right'):
        if side in cabin:
            panes = cells(cabin[side], np.array([0.08, 0.53]), np.array([0.47, 0.92]), 0.12, 0.86)
            canvas.fill(panes, 'car', 'glass', side)
    _lights(canvas, body['front'], (0.5, 0.82), 'car', oncoming)
    canvas.fill(cells(body['front'], 0.36, 0.64, 0.22, 0.46), 'car', 'plate')


def truck(canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """A lorry: a cab and a tall cargo box."""
    pick, cab_pick = rng.random(2)
    half, length, tall = 1.2, rng.uniform(6.0, 8.0), rng.uniform(3.0, 3.6)
    canvas.cast(x - half, x + half, z, z + length, tall)
    cab = (
        x - half * 0.94,
        x + half * 0.94,
        *((z, z + 2.0) if oncoming else (z + length - 2, z + length)),
    )
    load = (x - half, x + half, *((z + 2.2, z + length) if oncoming else (z, z + length - 2.2)))
    chassis = (x - half * 0.85, x + half * 0.85, z + 0.1, z + length)
    for part in ('load', 'cab') if oncoming else ('cab', 'load'):
        if part == 'load':
            under = canvas.box(chassis, 0.3, chassis, 0.95, 'truck', 'tyre')
            seen = canvas.box(load, 0.95, load, tall, 'truck', 'cargo', pick)
            bands = np.array([0.2, 0.46, 0.72])
            for side, face in seen.items():
                if side in ('left', 'right'):
                    canvas.fill(cells(face, 0.0, 1.0, 0.62, 0.8), 'truck', 'cargoline', side, pick)
                elif side == 'front' and not oncoming:
                    canvas.fill(
                        cells(face, 0.48, 0.52, 0.03, 0.97), 'truck', 'cargoline', 'front', pick
                    )
                    canvas.fill(
                        cells(face, 0.05, 0.95, bands, bands + 0.05),
                        'truck',
                        'cargoline',
                        'front',
                        pick,
                    )
            _wheels(canvas, under, (0.12, 0.28, 0.86), 0.48, 'truck')
        else:
            seen = canvas.box(cab, 0.4, cab, 2.5, 'truck', 'cab', cab_pick)
            canvas.fill(cells(seen['front'], 0.08, 0.92, 0.5, 0.9), 'truck', 'glass')
            for side in ('left', 'right'):
                if side in seen:
                    canvas.fill(cells(seen[side], 0.15, 0.7, 0.5, 0.88), 'truck', 'glass', side)
            _wheels(canvas, seen, (0.5,), 0.48, 'truck')
            if oncoming:
                canvas.fill(cells(seen['front'], 0.1, 0.9, 0.2, 0.4), 'truck', 'tyre')
                _lights(canvas, seen['front'], (0.06, 0.18), 'truck', True)
    if not oncoming:
        rear = canvas.faces(chassis, 0.5, chassis, 0.95)['front']
        _lights(canvas, rear, (0.2, 0.8), 'truck', False)


def coach(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool, cls: str
) -> None:
    """A ``bus``, or the long and narrow-fronted tram of class ``train``."""
    tram = cls == 'train'
    pick = rng.random()
    paint, stripe = ('tram', 'tramstripe') if tram else ('bus', 'busstripe')
    half, tall = (1.25, 3.3) if tram else (1.25, 3.05)
    length = rng.uniform(14.0, 20.0) if tram else rng.uniform(8.0, 11.0)
    base = (x - half, x + half, z, z + length)
    nose = (x - half * 0.82, x + half * 0.82, z + 0.5, z + length) if tram else base
    canvas.cast(*base, tall)
    skirt = canvas.box(base, 0.12 if tram else 0.35, base, 0.6, cls, 'tyre')
    body = canvas.box(base, 0.5, nose, tall, cls, paint, pick)
    for side in ('left', 'right'):
        if side not in body:
            continue
        count = int(length / 1.9)
        u = (np.arange(count) + 0.1) / count
        canvas.fill(cells(body[side], 0.0, 1.0, 0.08, 0.28), cls, stripe, side, pick)
        canvas.fill(cells(body[side], u, u + 0.8 / count, 0.44, 0.84), cls, 'glass', side)
        if tram:
            canvas.fill(
                cells(body[side], np.array([0.32, 0.66]), np.array([0.34, 0.68]), 0.0, 1.0),
                cls,
                'tyre',
                side,
            )
    if not tram:
        _wheels(canvas, skirt, (0.18, 0.8), 0.48, cls)
    front = body['front']
    canvas.fill(cells(front, 0.04, 0.96, 0.08, 0.28), cls, stripe, 'front', pick)
    canvas.fill(cells(front, 0.08, 0.92, 0.42, 0.84), cls, 'glass')
    canvas.fill(cells(front, 0.25, 0.75, 0.87, 0.96), cls, 'amber')
    _lights(canvas, front, (0.1, 0.24), cls, oncoming)
    if tram:
        arm = [(-0.1, tall), (0.5, tall + 0.7), (-0.1, tall + 1.3)]
        for a, b in zip(arm, arm[1:]):
            canvas.card(x, z + length * 0.4, bar(a, b, 0.09), cls, 'tyre')
        canvas.card(x, z + length * 0.4, rect(-0.7, 0.7, tall + 1.3, tall + 1.4), cls, 'tyre')


def person(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A walking person."""
    size, phase, turn = rng.uniform(0.92, 1.12), rng.uniform(-0.3, 0.3), rng.choice([-1.0, 1.0])
    shirt, trousers, hair = rng.random(3)
    canvas.cast(x - 0.25, x + 0.25, z, z + 0.4, 1.7 * size)

    def paint(outline: np.ndarray, material: str, pick: float = 0.5) -> None:
        canvas.card(x, z, outline * size, 'person', material, pick)

    for step in (-phase, phase):
        paint(bar((step * 0.3, 0.85), (step, 0.06), 0.21), 'trousers', trousers)
        paint(rect(step - 0.13, step + 0.15, 0.0, 0.09), 'shoe')
    paint(bar((-0.22, 1.36), (-0.3 - phase * 0.4, 0.85), 0.13), 'shirt', shirt)
    paint(bar((0.22, 1.36), (0.3 + phase * 0.4, 0.85), 0.13), 'shirt', shirt)
    torso = np.array(
        [[-0.21, 0.78], [0.21, 0.78], [0.27, 1.42], [0.12, 1.5], [-0.12, 1.5], [-0.27, 1.42]]
    )
    paint(torso, 'shirt', shirt)
    paint(disc(0.0, 1.68, 0.145, 0.17), 'hair', hair)
    paint(disc(0.04 * turn, 1.65, 0.11, 0.13), 'skin', hair)


def _rider(canvas: Canvas, x: float, z: float, pick: float, wide: float, seat: float) -> None:
    def paint(outline: np.ndarray, material: str) -> None:
        canvas.card(x, z, outline * np.array([wide, 1.0]), 'rider', material, pick)

    paint(bar((-0.18, seat), (0.12, seat - 0.35), 0.22), 'trousers')
    paint(bar((0.12, seat - 0.3), (-0.02, 0.25), 0.19), 'trousers')
    paint(
        np.array(
            [
                [-0.34, seat - 0.08],
                [0.04, seat - 0.08],
                [0.32, seat + 0.5],
                [0.1, seat + 0.66],
                [-0.16, seat + 0.5],
            ]
        ),
        'jersey',
    )
    paint(bar((0.16, seat + 0.48), (0.48, seat + 0.16), 0.15), 'jersey')
    paint(disc(0.2, seat + 0.8, 0.16, 0.18), 'skin')
    paint(disc(0.19, seat + 0.88, 0.19, 0.14), 'helmet')


def bicycle(canvas: Canvas, rng: np.random.Generator, x: float, z: float, ridden: bool) -> None:
    """A bicycle, with its rider if ``ridden``."""
    pick, wear = rng.random(2)
    wide = rng.uniform(0.6, 1.0) * rng.choice([-1.0, 1.0])
    canvas.cast(x - 0.8 * abs(wide), x + 0.8 * abs(wide), z, z + 0.3, 1.6 if ridden else 0.9)

    def paint(outline: np.ndarray, material: str) -> None:
        canvas.card(x, z, outline * np.array([wide, 1.0]), 'bicycle', material, pick)

    for hub in (-0.56, 0.56):
        paint(disc(hub, 0.36, 0.38, 0.36), 'tyre')
        paint(disc(hub, 0.36, 0.28, 0.26), 'spokes')
    crank, saddle, head = (-0.05, 0.34), (-0.24, 0.88), (0.4, 0.86)
    for a, b in (
        ((-0.56, 0.36), crank),
        ((-0.56, 0.36), saddle),
        (crank, saddle),
        (crank, head),
        (saddle, head),
        (head, (0.56, 0.36)),
        (head, (0.36, 1.06)),
    ):
        paint(bar(a, b, 0.1), 'bike')
    paint(rect(-0.4, -0.1, 0.88, 0.97), 'tyre')
    paint(rect(0.26, 0.56, 1.02, 1.1), 'tyre')
    if ridden:
        _rider(canvas, x, z - 0.02, wear, wide, 1.02)


def motorcycle(canvas: Canvas, rng: np.random.Generator, x: float, z: float, ridden: bool) -> None:
    """A motorcycle, with its rider if ``ridden``."""
    pick, wear = rng.random(2)
    wide = rng.uniform(0.65, 1.0) * rng.choice([-1.0, 1.0])
    canvas.cast(x - abs(wide), x + abs(wide), z, z + 0.5, 1.6 if ridden else 1.1)

    def paint(outline: np.ndarray, material: str) -> None:
        canvas.card(x, z, outline * np.array([wide, 1.0]), 'motorcycle', material, pick)

    for hub in (-0.72, 0.72):
        paint(disc(hub, 0.36, 0.38, 0.36), 'tyre')
        paint(disc(hub, 0.36, 0.17, 0.16), 'hub')
    paint(bar((0.72, 0.36), (0.4, 1.12), 0.12), 'hub')
    paint(np.array([[-0.5, 0.3], [0.4, 0.3], [0.52, 0.62], [-0.4, 0.68]]), 'tyre')
    paint(
        np.array(
            [[-0.9, 0.86], [-0.3, 0.5], [0.42, 0.52], [0.62, 1.08], [0.1, 1.06], [-0.3, 0.82]]
        ),
        'moto',
    )
    paint(rect(-0.62, 0.02, 0.8, 0.92), 'tyre')
    paint(bar((0.5, 1.06), (0.34, 1.4), 0.14), 'moto')
    paint(disc(0.62, 0.94, 0.12, 0.13), 'headlight')
    if ridden:
        _rider(canvas, x, z - 0.02, wear, wide, 1.02)


def tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float, size: float) -> None:
    """A tree: a trunk and a crown of three shades of leaves."""
    pick, wide = rng.random(), rng.uniform(0.8, 1.1) * size
    canvas.cast(x - wide, x + wide, z - wide, z + wide, 4.2 * size)
    canvas.card(
        x,
        z,
        np.array([[-0.2, 0.0], [0.2, 0.0], [0.13, 2.6], [-0.13, 2.6]]) * size,
        'vegetation',
        'trunk',
        pick,
    )
    layers = (('leafdark', 0.0, 0.75, 9), ('leaf', 0.2, 0.55, 7), ('leaflight', 0.5, 0.3, 5))
    for material, lift, radius, count in layers:
        angle = rng.uniform(0, 2 * np.pi, count)
        reach = rng.uniform(0.3, 0.95, count) * (1.1 - lift * 0.8)
        middle = np.stack(
            [np.cos(angle) * reach - lift * 0.25, np.sin(angle) * reach * 0.8 + 3.1 + lift * 0.8],
            -1,
        )
        blobs = middle[:, None] + _CIRCLE * (radius, radius * 0.9)
        canvas.card(x, z, blobs * (wide, size), 'vegetation', material, pick)


def _post(canvas: Canvas, x: float, z: float, height: float, width: float = 0.2) -> None:
    canvas.cast(x - width / 2, x + width / 2, z, z + width, height)
    canvas.card(x, z, rect(-width / 2, width / 2, 0.0, height), 'pole', 'metal')
    canvas.card(x, z, rect(-width, width, 0.0, 0.25), 'pole', 'metal')


def lamp_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A street lamp whose arm reaches over the road."""
    height = rng.uniform(5.0, 6.0)
    reach = -np.sign(x) * 1.5
    _post(canvas, x, z, height, 0.22)
    canvas.card(x, z, bar((0.0, height), (reach, height + 0.35), 0.14), 'pole', 'metal')
    canvas.card(
        x,
        z,
        bar((reach * 0.8, height + 0.26), (reach * 1.3, height + 0.3), 0.26),
        'pole',
        'headlight',
    )


def signal_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A traffic light on its post."""
    height, lit = rng.uniform(2.7, 3.3), int(rng.integers(3))
    _post(canvas, x, z, height)
    canvas.card(x, z, rect(-0.36, 0.36, height - 0.15, height + 1.65), 'traffic light', 'signalbox')
    for index, material in enumerate(('green', 'amber', 'red')):
        lamp = disc(0.0, height + 0.18 + 0.55 * index, 0.22, 0.22)
        canvas.card(x, z, lamp, 'traffic light', material if index == lit else 'dull')


def sign_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A traffic sign: prohibition, warning, information or priority."""
    height, kind = rng.uniform(2.3, 2.9), int(rng.integers(4))
    _post(canvas, x, z, height, 0.16)
    middle = height + 0.35
    triangle = np.array([[-0.62, -0.45], [0.62, -0.45], [0.0, 0.62]])
    diamond = np.array([[0.0, -0.62], [0.62, 0.0], [0.0, 0.62], [-0.62, 0.0]])
    square = rect(-0.5, 0.5, -0.5, 0.5)
    ring = disc(0.0, 0.0, 0.55, 0.55)
    outline, edge, inner = (
        (ring, 'signred', 'signwhite'),
        (triangle, 'signred', 'signwhite'),
        (square, 'signwhite', 'signblue'),
        (diamond, 'signwhite', 'signyellow'),
    )[kind]
    lift = np.array([0.0, middle])
    canvas.card(x, z, outline + lift, 'traffic sign', edge)
    canvas.card(x, z, outline * (0.62 if kind < 2 else 0.84) + lift, 'traffic sign', inner)
    if kind == 0:
        canvas.card(x, z, rect(-0.26, 0.26, -0.07, 0.07) + lift, 'traffic sign', 'tyre')
    elif kind == 2:
        canvas.card(x, z, rect(-0.1, 0.1, -0.3, 0.3) + lift, 'traffic sign', 'signwhite')
