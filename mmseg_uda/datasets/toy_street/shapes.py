"""Shapes of the toy streets in metres: flat outlines, and faces in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ['CIRCLE', 'Span', 'bar', 'cells', 'disc', 'rect', 'upright']

Span = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]
"""Left, right, lower and upper edges of rectangles, as shares of a face."""

_ANGLES = np.linspace(0, 2 * np.pi, 14, endpoint=False)
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)


def disc(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Outline of an ellipse, shape (14, 2)."""
    return CIRCLE * (rx, ry) + (x, y)


def rect(x0: float, x1: float, y0: float, y1: float) -> np.ndarray:
    """Outline of a rectangle, shape (4, 2)."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def bar(start: tuple[float, float], end: tuple[float, float], width: float) -> np.ndarray:
    """Outline of a straight bar, shape (4, 2)."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
    side = np.array([-along[1], along[0]]) * width / 2
    return np.stack([a - side, b - side, b + side, a + side])


def upright(start: tuple[float, float], end: tuple[float, float], height: float) -> np.ndarray:
    """Corners of a vertical face on the ground, shape (4, 3), in the order of :func:`cells`.

    Args:
        start: x and z of its left end.
        end: x and z of its right end.
        height: Of the face, in metres.
    """
    (x0, z0), (x1, z1) = start, end
    return np.array([[x0, 0, z0], [x1, 0, z1], [x1, height, z1], [x0, height, z0]])


def cells(
    face: np.ndarray, u0: ArrayLike, u1: ArrayLike, v0: ArrayLike, v1: ArrayLike
) -> np.ndarray:
    """Place rectangles inside a four-cornered face.

    Args:
        face: Corners, shape (4, 3), in the order (u, v) = (0, 0), (1, 0), (1, 1), (0, 1).
        u0: Left edges in [0, 1], a number or shape (M,).
        u1: Right edges, likewise.
        v0: Lower edges, likewise.
        v1: Upper edges, likewise.

    Returns:
        Corners of the rectangles by bilinear interpolation, shape (M, 4, 3).

    Example:
        >>> cells(upright((0, 5), (2, 5), 4), 0.0, 0.5, 0.0, 1.0)[0, :, 0]  # x of the left half
        array([0., 1., 1., 0.])
    """
    u0, u1, v0, v1 = np.broadcast_arrays(*np.atleast_1d(u0, u1, v0, v1))
    u = np.stack([u0, u1, u1, u0], -1)[..., None]
    v = np.stack([v0, v0, v1, v1], -1)[..., None]
    bottom = face[0] + (face[1] - face[0]) * u
    top = face[3] + (face[2] - face[3]) * u
    return bottom + (top - bottom) * v
