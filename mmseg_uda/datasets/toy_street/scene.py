"""Layout of a toy street: the same distribution of scenes for both domains."""

from __future__ import annotations

from typing import Callable

import numpy as np

from mmseg_uda.datasets.toy_street import buildings, objects, vehicles
from mmseg_uda.datasets.toy_street.canvas import Canvas
from mmseg_uda.datasets.toy_street.shapes import rect

__all__ = ['compose']

_LANE = 3.3
_FAR = 85.0
_LENGTHS = {'car': 4.4, 'truck': 8.0, 'bus': 11.0, 'train': 20.0}  # at most, in metres


class _Plan:
    """Sizes across the street, in metres, drawn once per scene."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.right = 0.5 * _LANE + (2.3 if rng.random() < 0.6 else 0.4)
        self.left = -(
            0.5 * _LANE + _LANE * rng.integers(1, 3) + (2.3 if rng.random() < 0.5 else 0.4)
        )
        self.walk = rng.uniform(2.6, 4.2, 2)
        self.verge = np.where(rng.random(2) < 0.75, rng.uniform(1.2, 3.0, 2), 0.0)

    def kerb(self, side: int) -> float:
        """Edge of the road on side 0 (left) or 1 (right)."""
        return self.right if side else self.left

    def spot(self, side: int, share: float) -> float:
        """A place on the pavement; ``share`` 0 is at the kerb, 1 at the fronts."""
        sign = 1 if side else -1
        return self.kerb(side) + sign * (0.35 + share * (self.walk[side] - 0.7))

    def front(self, side: int) -> float:
        """Distance at which gardens and buildings begin."""
        sign = 1 if side else -1
        return self.kerb(side) + sign * (self.walk[side] + self.verge[side])


def compose(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """Draw one street.

    Args:
        rng: Generator of the layout.
        height: Image height in pixels.
        width: Image width in pixels.
    """
    canvas = Canvas(
        height, width, rng.uniform(0.43, 0.49), rng.uniform(1.5, 1.75), rng.uniform(-1.1e-3, 1.1e-3)
    )
    plan = _Plan(rng)
    _sky(canvas, rng)
    _far_end(canvas, rng)
    _ground(canvas, rng, plan)
    for side in (0, 1):
        _lots(canvas, rng, plan, side)
    # Far objects first: near ones cover them.
    for _, draw in sorted(_street(canvas, rng, plan), key=lambda item: -item[0]):
        draw()
    if rng.random() < 0.4:
        _bonnet(canvas)
    return canvas


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    rows, columns = canvas.shape
    canvas.fill_pixels(rect(0, columns, 0, rows), 'sky', 'sky')
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    for _ in range(rng.integers(2, 5)):
        middle = np.array([rng.uniform(0.2, 0.8) * columns, rng.uniform(0.02, 0.3) * rows])
        size = rng.uniform(0.02, 0.045) * columns
        step = rng.uniform(-2.0, 2.0, (5, 1, 1))
        # Five ellipses in a row, the outer ones smaller.
        puff = size * (1.1 - 0.3 * np.abs(step))
        centre = middle + np.concatenate([step * size, -0.3 * puff], -1)
        canvas.fill_pixels(centre + circle * (1.3, 0.6) * puff, 'sky', 'cloud')


def _far_end(canvas: Canvas, rng: np.random.Generator) -> None:
    """Skyline and tree line where the street ends."""
    x = -110.0
    while x < 110.0:
        wide, tall = rng.uniform(7, 16), rng.uniform(5, 15)
        canvas.card(x, _FAR + 25, rect(0, wide, 0, tall), 'building', 'skyline', rng.random())
        x += wide
    x = -90.0
    while x < 90.0:
        wide = rng.uniform(5, 10)
        bush = np.linspace(0, np.pi, 8)
        outline = np.stack([np.cos(bush) * wide * 0.7, np.sin(bush) * rng.uniform(2.5, 6)], -1)
        canvas.card(x, _FAR + 8, outline, 'vegetation', 'leafdark', rng.random())
        x += wide


def _ground(canvas: Canvas, rng: np.random.Generator, plan: _Plan) -> None:
    canvas.ground(-300.0, 300.0, 0.5, 400.0, 'terrain', 'grass')
    for side in (0, 1):
        sign = 1 if side else -1
        kerb, edge = plan.kerb(side), plan.kerb(side) + sign * plan.walk[side]
        canvas.ground(kerb, edge, 1.0, _FAR, 'sidewalk', 'paving')
        z = np.arange(2.0, 40.0, 2.0)
        joints = np.zeros((len(z), 4, 3))  # lines across the pavement, 9 cm wide
        joints[..., 0] = kerb, edge, edge, kerb
        joints[..., 2] = z[:, None] + (0.0, 0.0, 0.09, 0.09)
        canvas.fill(joints, 'sidewalk', 'joint', 'up')
        canvas.ground(kerb, kerb + sign * 0.28, 1.0, _FAR, 'sidewalk', 'curb')
    canvas.ground(plan.left, plan.right, 1.0, _FAR, 'road', 'asphalt')
    lines = np.arange(-0.5 * _LANE, plan.left + 0.3, -_LANE)
    # A continuous line against the oncoming traffic, dashes between its lanes.
    for order, x in enumerate(lines):
        spans = [(1.0, _FAR)] if order == 0 else [(z, z + 3.0) for z in np.arange(2.0, 60.0, 7.0)]
        for z0, z1 in spans:
            canvas.ground(x - 0.08, x + 0.08, z0, z1, 'road', 'marking')
    canvas.ground(0.5 * _LANE - 0.08, 0.5 * _LANE + 0.08, 1.0, _FAR, 'road', 'marking')
    if rng.random() < 0.4:  # a zebra crossing
        z0 = rng.uniform(7.0, 16.0)
        for x in np.arange(plan.left + 0.4, plan.right - 0.6, 1.1):
            canvas.ground(x, x + 0.55, z0, z0 + 3.0, 'road', 'marking')


def _lots(canvas: Canvas, rng: np.random.Generator, plan: _Plan, side: int) -> None:
    """Fill one side of the street with houses and gardens, far ones first."""
    lots, end = [], -2.0  # from behind the camera
    while end < _FAR:
        kind = rng.choice(['house', 'wall', 'fence', 'park'], p=[0.42, 0.2, 0.2, 0.18])
        start = end
        end += rng.uniform(9.0, 17.0) if kind == 'house' else rng.uniform(7.0, 12.0)
        lots.append((kind, start, end))
    for kind, z0, z1 in lots[::-1]:
        if kind == 'house':
            buildings.house(canvas, rng, plan.front(side), z0, z1)
        else:
            buildings.garden(canvas, rng, plan.front(side), z0, z1, kind)


def _street(
    canvas: Canvas, rng: np.random.Generator, plan: _Plan
) -> list[tuple[float, Callable[[], None]]]:
    """Distance and drawing function of everything on road and pavement."""
    items: list[tuple[float, Callable[[], None]]] = []

    def add(z: float, draw: Callable[..., None], *args: object) -> None:
        # A stream of its own, so that objects may be drawn in any order.
        stream = np.random.default_rng(rng.integers(2**63))
        items.append((z, lambda: draw(canvas, stream, *args)))

    def some(probability: float) -> bool:
        return bool(rng.random() < probability)

    _traffic(rng, plan, add, some)
    for side in (0, 1):
        for z in np.arange(rng.uniform(7.0, 13.0), 60.0, rng.uniform(16.0, 24.0)):
            add(z, objects.lamp_post, plan.spot(side, 0.0), z)
        for share, draw in ((0.45, objects.signal_post), (0.5, objects.sign_post)):
            if some(share):
                z = rng.uniform(8.0, 17.0)
                add(z, draw, plan.spot(side, 0.02), z)
        for _ in range(rng.integers(0, 4)):
            z = rng.uniform(7.0, 24.0)
            add(z, objects.person, plan.spot(side, rng.uniform(0.1, 0.9)), z)
        for share, cls in ((0.3, 'bicycle'), (0.24, 'motorcycle')):
            if some(share):
                z = rng.uniform(6.0, 14.0)
                add(z, objects.cycle, plan.spot(side, rng.uniform(0.1, 0.5)), z, False, cls)
        if some(0.3):
            z = rng.uniform(12.0, 30.0)
            add(z, objects.tree, plan.spot(side, 0.1), z, rng.uniform(0.8, 1.1))
    for share, cls in ((0.42, 'bicycle'), (0.36, 'motorcycle')):
        if some(share):
            z = rng.uniform(7.0, 15.0)
            x = plan.right - rng.uniform(0.7, 1.5) if some(0.7) else rng.uniform(-3.0, 0.5)
            add(z, objects.cycle, x, z, True, cls)
    return items


def _traffic(
    rng: np.random.Generator, plan: _Plan, add: Callable[..., None], some: Callable[[float], bool]
) -> None:
    """Vehicles lane by lane, so that none runs through another."""
    # The middle of each lane; the first one is ours.
    lanes = [(0.0, False)] + [(x, True) for x in np.arange(-_LANE, plan.left + 1.2, -_LANE)]
    for x, oncoming in lanes:
        z = rng.uniform(7.0, 18.0) if oncoming else rng.uniform(9.0, 20.0)
        while z < 60.0:
            kind = rng.choice(['car', 'truck', 'bus', 'train'], p=[0.4, 0.2, 0.2, 0.2])
            shift = rng.uniform(-0.25, 0.25)
            if kind in ('bus', 'train'):
                add(z, vehicles.coach, x, z, oncoming, kind)
            else:
                add(z, getattr(vehicles, kind), x + shift, z, oncoming)
            z += _LENGTHS[kind] + rng.uniform(4.0, 22.0)
    # Cars that park, where there is room beside the lanes.
    for edge, sign, room in (
        (plan.right, -1, plan.right - 0.5 * _LANE > 2.0),
        (plan.left, 1, abs(-plan.left % _LANE - 0.5 * _LANE) > 1.0),
    ):
        z = rng.uniform(6.0, 12.0) if room else np.inf
        while z < 50.0:
            if some(0.6):
                add(z, vehicles.car, edge + sign * 1.15, z, sign > 0)
            z += rng.uniform(5.2, 7.5)


def _bonnet(canvas: Canvas) -> None:
    """The camera's own car at the lower edge; its pixels are ignored."""
    rows, columns = canvas.shape
    share = np.linspace(0.0, 1.0, 15)
    outline = np.stack([share * columns, rows * (0.955 + 0.3 * (share - 0.5) ** 2)], -1)
    corners = np.array([[columns, rows], [0, rows]], float)
    canvas.fill_pixels(np.concatenate([outline, corners]), 'ignore', 'bonnet', depth=1.0)
