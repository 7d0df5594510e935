"""Houses and gardens along a toy street, from ``z0`` to ``z1`` metres ahead.

``x`` is the distance of their fronts to the right of the camera, negative on the left.
"""

from __future__ import annotations

import numpy as np

from mmseg_uda.datasets.toy_street.canvas import Canvas
from mmseg_uda.datasets.toy_street.objects import tree
from mmseg_uda.datasets.toy_street.shapes import cells, upright

__all__ = ['garden', 'house']


def house(canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float) -> None:
    """A house: its front along the street from ``z0`` to ``z1`` and the near end."""
    pick, tall, deep = rng.random(), rng.uniform(4.0, 11.0), 9.0 * np.sign(x)
    pitched, floors = tall < 8.5 and rng.random() < 0.7, max(int((tall - 0.4) / 2.7), 1)
    canvas.cast(x, x + deep, z0, z1, tall)
    side = 'left' if x > 0 else 'right'
    ridge = tall + (2.4 if pitched else 0.0)
    if pitched:  # the slope that faces the street
        eave, top = (x - deep * 0.04, tall - 0.1), (x + deep / 2, ridge)
        slope = np.array([[*eave, z0], [*eave, z1], [*top, z1], [*top, z0]])
        canvas.fill(slope, 'building', 'roof', 'up', pick)
    if z0 > canvas.near:
        end = upright((x, z0), (x + deep, z0), tall)
        gable = np.insert(end, 3, [x + deep / 2, ridge, z0], 0)
        canvas.fill(gable, 'building', 'plaster', 'front', pick, 0.94)
        _windows(canvas, rng, end, 3, floors, 'front', pick)
    # Painted from where the camera sees it; the windows keep their places on the whole wall.
    wall = upright((x, max(z0, canvas.near)), (x, z1), tall)
    canvas.fill(wall, 'building', 'plaster', side, pick)
    if not pitched:
        canvas.panel(wall, (0.0, 1.0, 0.95, 1.0), 'building', 'roof', side, pick)
    columns = max(int((z1 - z0) / 2.7), 2)
    _windows(canvas, rng, upright((x, z0), (x, z1), tall), columns, floors, side, pick)


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
    du, dv = 1 / columns, 0.96 / floors
    u = np.arange(columns) * du
    if floors > 1:  # upper floors, of which some windows are lit
        left, low = (grid.ravel() for grid in np.meshgrid(u, np.arange(1, floors) * dv))
        lit = rng.random(len(left)) < 0.3
        frames = left + 0.2 * du, left + 0.8 * du, low + 0.2 * dv, low + 0.84 * dv
        canvas.panel(wall, frames, 'building', 'frame', normal, pick)
        panes = left + 0.26 * du, left + 0.74 * du, low + 0.26 * dv, low + 0.78 * dv
        for material, chosen in (('window', ~lit), ('lit', lit)):
            if chosen.any():
                canvas.fill(cells(wall, *panes)[chosen], 'building', material, normal)
    door = int(rng.integers(columns))
    shop = np.delete(u, door)  # two columns at least
    material = 'lit' if rng.random() < 0.5 else 'window'
    glass = shop + 0.12 * du, shop + 0.88 * du, 0.14 * dv, 0.66 * dv
    canvas.panel(wall, glass, 'building', material, normal)
    awning = shop + 0.06 * du, shop + 0.94 * du, 0.68 * dv, 0.84 * dv
    canvas.panel(wall, awning, 'building', 'awning', normal, pick)
    frame = u[door] + 0.25 * du, u[door] + 0.75 * du, 0.0, 0.74 * dv
    canvas.panel(wall, frame, 'building', 'door', normal, pick)


def garden(
    canvas: Canvas, rng: np.random.Generator, x: float, z0: float, z1: float, kind: str
) -> None:
    """Grass and trees, behind a wall or a fence or open to the street."""
    sign = np.sign(x)
    places = rng.uniform(z0 + 1.0, z1 - 1.0, rng.integers(1, 4))
    canvas.ground(x, x + sign * 14.0, z0, z1, 'terrain', 'grasslight')
    for z in np.sort(places)[::-1]:
        if z > 5.0:
            tree(canvas, rng, x + sign * rng.uniform(1.6, 5.0), z, rng.uniform(0.9, 1.5))
    if kind == 'park':
        return
    pick, tall = rng.random(), rng.uniform(1.9, 2.6)
    canvas.cast(x, x + 0.2 * sign, z0, z1, tall)
    panels = [('left' if x > 0 else 'right', upright((x, max(z0, canvas.near)), (x, z1), tall))]
    if z0 > canvas.near:  # the near end, across the garden, is drawn first
        panels.insert(0, ('front', upright((x, z0), (x + sign * 6.0, z0), tall)))
    for normal, panel in panels:
        if kind == 'wall':
            canvas.fill(panel, 'wall', 'brick', normal, pick)
            canvas.panel(panel, (0.0, 1.0, 0.9, 1.0), 'wall', 'coping', normal, pick)
            rows = np.arange(0.18, 0.9, 0.18)
            canvas.panel(panel, (0.0, 1.0, rows, rows + 0.03), 'wall', 'coping', normal, pick, 0.85)
        else:
            count = max(int(float(np.abs(panel[1] - panel[0]).max()) / 0.55), 2)
            u = (np.arange(count) + 0.2) / count
            canvas.fill(panel, 'fence', 'gap', normal, pick)
            pickets = u, u + 0.55 * (u[1] - u[0]), 0.0, 1.0
            canvas.panel(panel, pickets, 'fence', 'picket', normal, pick)
            for v in (0.2, 0.75):
                rail = 0.0, 1.0, v, v + 0.09
                canvas.panel(panel, rail, 'fence', 'picket', normal, pick, 0.9)
