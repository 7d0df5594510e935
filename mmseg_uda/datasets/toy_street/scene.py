"""Layout of a toy street: the same distribution of scenes for both domains."""

from __future__ import annotations

from typing import Callable

import numpy as np

from mmseg_uda.datasets.toy_street import objects as things
from mmseg_uda.datasets.toy_street.canvas import Canvas, cells

__all__ = ['compose']

_LANE = 3.3
_FAR = 85.0


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
        """Where gardens and buildings begin."""
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
    for _, draw in sorted(_street(canvas, rng, plan), key=lambda item: -item[0]):
        draw()
    if rng.random() < 0.4:
        _bonnet(canvas)
    return canvas


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    rows, columns = canvas.shape
    frame = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], float)
    canvas.fill_pixels(frame, 'sky', 'sky')
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    for _ in range(rng.integers(2, 5)):
        middle = np.array([rng.uniform(0.2, 0.8) * columns, rng.uniform(0.02, 0.3) * rows])
        size = rng.uniform(0.02, 0.045) * columns
        step = rng.uniform(-2.0, 2.0, (5, 1, 1))
        puff = size * (1.1 - 0.3 * np.abs(step))
        centre = middle + np.concatenate([step * size, -0.3 * puff], -1)
        canvas.fill_pixels(centre + circle * (1.3, 0.6) * puff, 'sky', 'cloud')


def _far_end(canvas: Canvas, rng: np.random.Generator) -> None:
    """Skyline and tree line where the street ends."""
    x = -110.0
    while x < 110.0:
        wide, tall = rng.uniform(7, 16), rng.uniform(5, 15)
        outline = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]])
        canvas.card(x, _FAR + 25, outline, 'building', 'skyline', rng.random())
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
        x0, x1 = np.full_like(z, kerb), np.full_like(z, edge)
        slabs = np.stack(
            [
                np.stack([x0, 0 * z, z], -1),
                np.stack([x1, 0 * z, z], -1),
                np.stack([x1, 0 * z, z + 0.09], -1),
                np.stack([x0, 0 * z, z + 0.09], -1),
            ],
            1,
        )
        canvas.fill(slabs, 'sidewalk', 'joint', 'up')
        canvas.ground(kerb, kerb + sign * 0.28, 1.0, _FAR, 'sidewalk', 'curb')
    canvas.ground(plan.left, plan.right, 1.0, _FAR, 'road', 'asphalt')
    lines = np.arange(-0.5 * _LANE, plan.left + 0.3, -_LANE)
    for order, x in enumerate(lines):
        spans = [(1.0, _FAR)] if order == 0 else [(z, z + 3.0) for z in np.arange(2.0, 60.0, 7.0)]
        for z0, z1 in spans:
            canvas.ground(x - 0.08, x + 0.08, z0, z1, 'road', 'marking')
    canvas.ground(0.5 * _LANE - 0.08, 0.5 * _LANE + 0.08, 1.0, _FAR, 'road', 'marking')
    if rng.random() < 0.4:
        z0 = rng.uniform(7.0, 16.0)
        for x in np.arange(plan.left + 0.4, plan.right - 0.6, 1.1):
            canvas.ground(x, x + 0.55, z0, z0 + 3.0, 'road', 'marking')


def _lots(canvas: Canvas, rng: np.random.Generator, plan: _Plan, side: int) -> None:
    """Fill one side of the street with houses and gardens, far ones first."""
    ends, kinds = [-2.0], []
    while ends[-1] < _FAR:
        kinds.append(rng.choice(['house', 'wall', 'fence', 'park'], p=[0.42, 0.2, 0.2, 0.18]))
        ends.append(
            ends[-1] + (rng.uniform(9.0, 17.0) if kinds[-1] == 'house' else rng.uniform(7.0, 12.0))
        )
    for kind, z0, z1 in list(zip(kinds, ends, ends[1:]))[::-1]:
        if kind == 'house':
            _house(canvas, rng, plan.front(side), z0, z1)
        else:
            _garden(canvas, rng, plan.front(side), z0, z1, kind)


def _house(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float) -> None:
    pick, tall, deep = rng.random(), rng.uniform(4.0, 11.0), 9.0 * np.sign(x)
    pitched, floors = tall < 8.5 and rng.random() < 0.7, max(int((tall - 0.4) / 2.7), 1)
    canvas.cast(x, x + deep, z0, z1, tall)
    side = 'left' if x > 0 else 'right'
    eave, ridge = tall, tall + (2.4 if pitched else 0.0)
    if pitched:
        slope = np.array(
            [
                [x - deep * 0.04, eave - 0.1, z0],
                [x - deep * 0.04, eave - 0.1, z1],
                [x + deep / 2, ridge, z1],
                [x + deep / 2, ridge, z0],
            ]
        )
        canvas.fill(slope, 'building', 'roof', 'up', pick)
    if z0 > canvas.near:
        gable = np.array(
            [
                [x, 0, z0],
                [x + deep, 0, z0],
                [x + deep, eave, z0],
                [x + deep / 2, ridge, z0],
                [x, eave, z0],
            ]
        )
        canvas.fill(gable, 'building', 'plaster', 'front', pick, 0.94)
        end = np.array([[x, 0, z0], [x + deep, 0, z0], [x + deep, tall, z0], [x, tall, z0]])
        _windows(canvas, rng, end, 3, floors, 'front', pick)
    begin = max(z0, canvas.near)
    wall = np.array([[x, 0, begin], [x, 0, z1], [x, tall, z1], [x, tall, begin]])
    canvas.fill(wall, 'building', 'plaster', side, pick)
    if not pitched:
        canvas.fill(cells(wall, 0.0, 1.0, 0.95, 1.0), 'building', 'roof', side, pick)
    full = np.array([[x, 0, z0], [x, 0, z1], [x, tall, z1], [x, tall, z0]])
    _windows(canvas, rng, full, max(int((z1 - z0) / 2.7), 2), floors, side, pick)


def _windows(
    canvas: Canvas,
    rng: np.random.Generator,
    wall: np.ndarray,
    columns: int,
    floors: int,
    normal: str,
    pick: float,
) -> None:
    """A grid of windows above a ground floor of a door and shop windows."""
    step_u, step_v = 1 / columns, 0.96 / floors
    u, v = (
        grid.ravel()
        for grid in np.meshgrid(np.arange(columns) * step_u, np.arange(1, floors) * step_v)
    )
    lit = rng.random(len(u)) < 0.3
    if len(u):
        panes = cells(wall, u + 0.2 * step_u, u + 0.8 * step_u, v + 0.2 * step_v, v + 0.84 * step_v)
        canvas.fill(panes, 'building', 'frame', normal, pick)
        panes = cells(
            wall, u + 0.26 * step_u, u + 0.74 * step_u, v + 0.26 * step_v, v + 0.78 * step_v
        )
        for material, chosen in (('window', ~lit), ('lit', lit)):
            if chosen.any():
                canvas.fill(panes[chosen], 'building', material, normal)
    u = np.arange(columns) * step_u
    door = int(rng.integers(columns))
    shop = np.delete(u, door)
    if len(shop):
        material = 'lit' if rng.random() < 0.5 else 'window'
        canvas.fill(
            cells(wall, shop + 0.12 * step_u, shop + 0.88 * step_u, 0.14 * step_v, 0.66 * step_v),
            'building',
            material,
            normal,
        )
        canvas.fill(
            cells(wall, shop + 0.06 * step_u, shop + 0.94 * step_u, 0.68 * step_v, 0.84 * step_v),
            'building',
            'awning',
            normal,
            pick,
        )
    canvas.fill(
        cells(wall, u[door] + 0.25 * step_u, u[door] + 0.75 * step_u, 0.0, 0.74 * step_v),
        'building',
        'door',
        normal,
        pick,
    )


def _garden(
    canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, kind: str
) -> None:
    """Grass and trees, behind a wall or a fence or open to the street."""
    sign = np.sign(x)
    places = rng.uniform(z0 + 1.0, z1 - 1.0, rng.integers(1, 4))
    canvas.ground(x, x + sign * 14.0, z0, z1, 'terrain', 'grasslight')
    for z in np.sort(places)[::-1]:
        if z > 5.0:
            things.tree(canvas, rng, x + sign * rng.uniform(1.6, 5.0), z, rng.uniform(0.9, 1.5))
    if kind == 'park':
        return
    side = 'left' if x > 0 else 'right'
    pick, tall, begin = rng.random(), rng.uniform(1.9, 2.6), max(z0, canvas.near)
    canvas.cast(x, x + 0.2 * sign, z0, z1, tall)
    panels = [(np.array([[x, 0, begin], [x, 0, z1], [x, tall, z1], [x, tall, begin]]), side)]
    if z0 > canvas.near:
        panels.insert(
            0,
            (
                np.array(
                    [[x, 0, z0], [x + sign * 6.0, 0, z0], [x + sign * 6.0, tall, z0], [x, tall, z0]]
                ),
                'front',
            ),
        )
    for panel, normal in panels:
        span = float(np.abs(panel[1] - panel[0]).max())
        if kind == 'wall':
            canvas.fill(panel, 'wall', 'brick', normal, pick)
            canvas.fill(cells(panel, 0.0, 1.0, 0.9, 1.0), 'wall', 'coping', normal, pick)
            rows = np.arange(0.18, 0.9, 0.18)
            canvas.fill(
                cells(panel, 0.0, 1.0, rows, rows + 0.03), 'wall', 'coping', normal, pick, 0.85
            )
        else:
            u = (np.arange(max(int(span / 0.55), 2)) + 0.2) / max(int(span / 0.55), 2)
            canvas.fill(panel, 'fence', 'gap', normal, pick)
            canvas.fill(
                cells(panel, u, u + 0.55 * (u[1] - u[0]), 0.0, 1.0), 'fence', 'picket', normal, pick
            )
            for v in (0.2, 0.75):
                canvas.fill(
                    cells(panel, 0.0, 1.0, v, v + 0.09), 'fence', 'picket', normal, pick, 0.9
                )


def _street(
    canvas: Canvas, rng: np.random.Generator, plan: _Plan
) -> list[tuple[float, Callable[[], None]]]:
    """Everything that stands or moves on road and pavement, with its distance."""
    items: list[tuple[float, Callable[[], None]]] = []

    def add(z: float, draw: Callable[..., None], *args: object) -> None:
        stream = np.random.default_rng(rng.integers(2**63))
        items.append((z, lambda: draw(canvas, stream, *args)))

    def some(probability: float) -> bool:
        return bool(rng.random() < probability)

    _traffic(rng, plan, add, some)
    for side in (0, 1):
        for z in np.arange(rng.uniform(7.0, 13.0), 60.0, rng.uniform(16.0, 24.0)):
            add(z, things.lamp_post, plan.spot(side, 0.0), z)
        for share, draw in ((0.45, things.signal_post), (0.5, things.sign_post)):
            if some(share):
                z = rng.uniform(8.0, 17.0)
                add(z, draw, plan.spot(side, 0.02), z)
        for _ in range(rng.integers(0, 4)):
            z = rng.uniform(7.0, 24.0)
            add(z, things.person, plan.spot(side, rng.uniform(0.1, 0.9)), z)
        for share, cycle in ((0.3, things.bicycle), (0.24, things.motorcycle)):
            if some(share):
                z = rng.uniform(6.0, 14.0)
                add(z, cycle, plan.spot(side, rng.uniform(0.1, 0.5)), z, False)
        if some(0.3):
            z = rng.uniform(12.0, 30.0)
            add(z, things.tree, plan.spot(side, 0.1), z, rng.uniform(0.8, 1.1))
    for share, cycle in ((0.42, things.bicycle), (0.36, things.motorcycle)):
        if some(share):
            z = rng.uniform(7.0, 15.0)
            x = plan.right - rng.uniform(0.7, 1.5) if some(0.7) else rng.uniform(-3.0, 0.5)
            add(z, cycle, x, z, True)
    return items


def _traffic(
    rng: np.random.Generator, plan: _Plan, add: Callable[..., None], some: Callable[[float], bool]
) -> None:
    """Vehicles lane by lane, so that none runs through another."""
    lanes = [(0.0, False)] + [(x, True) for x in np.arange(-_LANE, plan.left + 1.2, -_LANE)]
    for order, (x, oncoming) in enumerate(lanes):
        z = rng.uniform(9.0, 20.0) if order == 0 else rng.uniform(7.0, 18.0)
        while z < 60.0:
            kind = rng.choice(['car', 'truck', 'bus', 'train'], p=[0.4, 0.2, 0.2, 0.2])
            shift = rng.uniform(-0.25, 0.25)
            if kind == 'car':
                add(z, things.car, x + shift, z, oncoming)
            elif kind == 'truck':
                add(z, things.truck, x + shift, z, oncoming)
            else:
                add(z, things.coach, x, z, oncoming, kind)
            z += {'car': 4.4, 'truck': 8.0, 'bus': 11.0, 'train': 20.0}[kind] + rng.uniform(
                4.0, 22.0
            )
    for edge, sign, room in (
        (plan.right, -1, plan.right - 0.5 * _LANE),
        (plan.left, 1, -plan.left % _LANE),
    ):
        if room > 2.0 if sign < 0 else abs(room - 0.5 * _LANE) > 1.0:
            z = rng.uniform(6.0, 12.0)
            while z < 50.0:
                if some(0.6):
                    add(z, things.car, edge + sign * 1.15, z, sign > 0)
                z += rng.uniform(5.2, 7.5)


def _bonnet(canvas: Canvas) -> None:
    """The camera's own car at the lower edge; its pixels are ignored."""
    rows, columns = canvas.shape
    share = np.linspace(0.0, 1.0, 15)
    outline = np.stack([share * columns, rows * (0.955 + 0.3 * (share - 0.5) ** 2)], -1)
    corners = np.array([[columns, rows], [0, rows]], float)
    canvas.fill_pixels(np.concatenate([outline, corners]), 'ignore', 'bonnet', depth=1.0)
