"""Vehicles of a toy street: boxes with panels, whose near end is ``z`` metres ahead."""

from __future__ import annotations

import itertools

import numpy as np

from mmseg_uda.datasets.toy_street.canvas import Canvas
from mmseg_uda.datasets.toy_street.shapes import CIRCLE, Span, bar, rect, upright

__all__ = ['car', 'coach', 'truck']

_LAMPS = np.array([0.04, 0.8]), np.array([0.2, 0.96])  # left and right edges, as shares of a front


def _flank(seen: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The visible long side of a box, if there is one."""
    return [(side, seen[side]) for side in ('left', 'right') if side in seen]


def _wheels(
    canvas: Canvas, seen: dict[str, np.ndarray], places: tuple[float, ...], radius: float, cls: str
) -> None:
    """Wheels on the visible long side, at shares ``places`` of its length."""
    for side, (near, far, *_) in _flank(seen):
        for place in places:
            x, z = near[0], near[2] + (far[2] - near[2]) * place
            for size, material in ((1.0, 'tyre'), (0.5, 'hub')):
                rim = CIRCLE * radius * size
                points = np.stack([np.full(len(rim), x), radius + rim[:, 1], z + rim[:, 0]], -1)
                canvas.fill(points, cls, material, side)


def car(canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """A passenger car of 1.8 m × 4.2 m."""
    pick = rng.random()
    half, length, tall = rng.uniform(0.84, 0.94), rng.uniform(3.8, 4.4), rng.uniform(1.42, 1.62)
    base = (x - half, x + half, z, z + length)
    canvas.cast(*base, tall)
    # The dark underside with two tyres, which the body covers from 0.26 m on.
    tyres = np.array([0.04, 0.74]), np.array([0.26, 0.96]), 0.0, 1.0
    canvas.panel(upright((x - half, z), (x + half, z), 0.4), tyres, 'car', 'tyre')
    body = canvas.box(base, 0.26, base, 0.88, 'car', 'paint', pick)
    _wheels(canvas, body, (0.2, 0.8), 0.33, 'car')
    # The cabin stands back from the end with the engine.
    bonnet, boot = (1.1, 0.35) if oncoming else (0.35, 1.1)
    foot = (x - half * 0.94, x + half * 0.94, z + bonnet * 0.7, z + length - boot * 0.7)
    roof = (x - half * 0.74, x + half * 0.74, z + bonnet + 0.35, z + length - boot - 0.35)
    cabin = canvas.box(foot, 0.88, roof, tall, 'car', 'paint', pick)
    canvas.panel(cabin['front'], (0.09, 0.91, 0.1, 0.84), 'car', 'glass')
    for side, face in _flank(cabin):
        panes = np.array([0.08, 0.53]), np.array([0.47, 0.92]), 0.12, 0.86
        canvas.panel(face, panes, 'car', 'glass', side)
    lamp = 'headlight' if oncoming else 'taillight'
    canvas.panel(body['front'], (*_LAMPS, 0.5, 0.82), 'car', lamp)
    canvas.panel(body['front'], (0.36, 0.64, 0.22, 0.46), 'car', 'plate')


def truck(canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool) -> None:
    """A lorry: a cab and a tall cargo box."""
    pick, cab_pick = rng.random(2)
    half, length, tall = 1.2, rng.uniform(6.0, 8.0), rng.uniform(3.0, 3.6)
    end = z + length
    canvas.cast(x - half, x + half, z, end, tall)
    chassis = (x - half * 0.85, x + half * 0.85, z + 0.1, end)

    def draw_cab() -> None:
        span = (z, z + 2.0) if oncoming else (end - 2, end)
        base = (x - half * 0.94, x + half * 0.94, *span)
        seen = canvas.box(base, 0.4, base, 2.5, 'truck', 'cab', cab_pick)
        canvas.panel(seen['front'], (0.08, 0.92, 0.5, 0.9), 'truck', 'glass')
        for side, face in _flank(seen):
            canvas.panel(face, (0.15, 0.7, 0.5, 0.88), 'truck', 'glass', side)
        _wheels(canvas, seen, (0.5,), 0.48, 'truck')
        if oncoming:
            canvas.panel(seen['front'], (0.1, 0.9, 0.2, 0.4), 'truck', 'tyre')
            canvas.panel(seen['front'], (*_LAMPS, 0.06, 0.18), 'truck', 'headlight')

    def draw_load() -> None:
        base = (x - half, x + half, *((z + 2.2, end) if oncoming else (z, end - 2.2)))
        under = canvas.box(chassis, 0.3, chassis, 0.95, 'truck', 'tyre')
        seen = canvas.box(base, 0.95, base, tall, 'truck', 'cargo', pick)
        bands = np.array([0.2, 0.46, 0.72])
        stripes: list[tuple[str, np.ndarray, Span]]
        stripes = [(side, face, (0.0, 1.0, 0.62, 0.8)) for side, face in _flank(seen)]
        if not oncoming:  # doors
            stripes.append(('front', seen['front'], (0.48, 0.52, 0.03, 0.97)))
            stripes.append(('front', seen['front'], (0.05, 0.95, bands, bands + 0.05)))
        for side, face, span in stripes:
            canvas.panel(face, span, 'truck', 'cargoline', side, pick)
        _wheels(canvas, under, (0.12, 0.28, 0.86), 0.48, 'truck')

    # The far part first.
    for draw in (draw_load, draw_cab) if oncoming else (draw_cab, draw_load):
        draw()
    if not oncoming:
        rear = canvas.faces(chassis, 0.5, chassis, 0.95)['front']
        canvas.panel(rear, (*_LAMPS, 0.2, 0.8), 'truck', 'taillight')


def coach(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool, cls: str
) -> None:
    """A ``bus``, or the long and narrow-fronted tram of class ``train``."""
    tram = cls == 'train'
    pick = rng.random()
    paint, stripe = ('tram', 'tramstripe') if tram else ('bus', 'busstripe')
    half, tall = 1.25, 3.3 if tram else 3.05
    length = rng.uniform(14.0, 20.0) if tram else rng.uniform(8.0, 11.0)
    base = (x - half, x + half, z, z + length)
    # A tram's front tapers towards its roof.
    nose = (x - half * 0.82, x + half * 0.82, z + 0.5, z + length) if tram else base
    canvas.cast(*base, tall)
    skirt = canvas.box(base, 0.12 if tram else 0.35, base, 0.6, cls, 'tyre')
    body = canvas.box(base, 0.5, nose, tall, cls, paint, pick)
    count = int(length / 1.9)  # windows
    u = (np.arange(count) + 0.1) / count
    for side, face in _flank(body):
        canvas.panel(face, (0.0, 1.0, 0.08, 0.28), cls, stripe, side, pick)
        canvas.panel(face, (u, u + 0.8 / count, 0.44, 0.84), cls, 'glass', side)
        if tram:
            joints = np.array([0.32, 0.66]), np.array([0.34, 0.68]), 0.0, 1.0
            canvas.panel(face, joints, cls, 'tyre', side)
    if not tram:
        _wheels(canvas, skirt, (0.18, 0.8), 0.48, cls)
    front = body['front']
    canvas.panel(front, (0.04, 0.96, 0.08, 0.28), cls, stripe, 'front', pick)
    canvas.panel(front, (0.08, 0.92, 0.42, 0.84), cls, 'glass')
    canvas.panel(front, (0.25, 0.75, 0.87, 0.96), cls, 'amber')
    canvas.panel(front, (*_LAMPS, 0.1, 0.24), cls, 'headlight' if oncoming else 'taillight')
    if tram:  # its current collector
        arm = [(-0.1, tall), (0.5, tall + 0.7), (-0.1, tall + 1.3)]
        bars = [bar(start, end, 0.09) for start, end in itertools.pairwise(arm)]
        for outline in (*bars, rect(-0.7, 0.7, tall + 1.3, tall + 1.4)):
            canvas.card(x, z + length * 0.4, outline, cls, 'tyre')
