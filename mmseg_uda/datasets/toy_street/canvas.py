"""Canvas of the toy streets: a pinhole camera and a map of painted parts."""

from __future__ import annotations

import cv2
import numpy as np
from mmseg.datasets import CityscapesDataset

from mmseg_uda.datasets.toy_street.palettes import MATERIALS
from mmseg_uda.datasets.toy_street.shapes import Span, cells

__all__ = ['CLASS_IDS', 'IGNORE', 'NORMALS', 'Canvas']

IGNORE = 255
CLASS_IDS = {name: index for index, name in enumerate(CityscapesDataset.METAINFO['classes'])}
CLASS_IDS['ignore'] = IGNORE
_MATERIAL_IDS = {name: index for index, name in enumerate(MATERIALS)}

# Direction that a surface faces: `screen` is unlit (sky), `front` is the camera's.
NORMALS = ('screen', 'up', 'front', 'left', 'right')
_NORMAL_IDS = {name: index for index, name in enumerate(NORMALS)}

_SHIFT = 4  # fractional bits of OpenCV's polygon coordinates

Base = tuple[float, float, float, float]
"""x0, x1, z0 and z1 of a rectangle on the ground, in metres."""


class Canvas:
    """Paints polygons given in metres, back to front, into a map of part indices.

    The map is finer than the image; class, material and the rest are attributes of a part, so one
    drawing gives the exact label and, with a palette, any number of looks. The axes are x to the
    right, y up and z ahead; the camera stands at x = z = 0 and looks along z.

    Args:
        height: Image height in pixels.
        width: Image width in pixels.
        horizon: Row of the horizon as a share of the height.
        eye: Height of the camera in metres.
        curve: Bend of the street: the road's axis is at ``x = curve * z**2``.
        supersample: Map pixels per image pixel along one axis.
    """

    near = 1.2

    def __init__(
        self,
        height: int,
        width: int,
        horizon: float = 0.46,
        eye: float = 1.55,
        curve: float = 0.0,
        supersample: int = 2,
    ) -> None:
        self.supersample = supersample
        self.shape = (height * supersample, width * supersample)
        self.eye = eye
        self.curve = curve
        self.focal = 0.86 * self.shape[1]
        self.horizon = horizon * self.shape[0]
        self.parts = np.zeros(self.shape, np.int16)
        self.attributes: list[tuple[int, int, int, float, float, float]] = []
        self.casters: list[tuple[float, float, float, float, float]] = []

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points in metres, shape (..., 3), to map pixels, shape (..., 2)."""
        z = np.maximum(points[..., 2], self.near)
        scale = self.focal / z
        pixels = np.empty((*z.shape, 2))  # x to the right, y down
        pixels[..., 0] = 0.5 * self.shape[1] + (points[..., 0] + self.curve * z * z) * scale
        pixels[..., 1] = self.horizon + (self.eye - points[..., 1]) * scale
        return pixels

    def fill_pixels(
        self,
        polygons: np.ndarray,
        cls: str,
        material: str,
        normal: str = 'screen',
        pick: float = 0.5,
        tone: float = 1.0,
        depth: float = 1e3,
    ) -> None:
        """Paint a polygon given in map pixels, shape (K, 2), or convex ones, shape (M, K, 2).

        ``pick`` in [0, 1) chooses the colour out of the material's palette, ``tone`` scales it.
        """
        index = len(self.attributes)
        self.attributes.append(
            (CLASS_IDS[cls], _MATERIAL_IDS[material], _NORMAL_IDS[normal], pick, tone, depth)
        )
        # OpenCV counts in int32; far beyond the map a polygon's corner may lie anywhere.
        limit = 8.0 * max(self.shape)
        corners = (polygons.clip(-limit, limit) * (1 << _SHIFT)).astype(np.int32)
        if corners.ndim == 2:
            cv2.fillPoly(self.parts, [corners], index, lineType=cv2.LINE_8, shift=_SHIFT)
            return
        for convex in corners:
            cv2.fillConvexPoly(self.parts, convex, index, lineType=cv2.LINE_8, shift=_SHIFT)

    def fill(
        self,
        polygons: np.ndarray,
        cls: str,
        material: str,
        normal: str = 'front',
        pick: float = 0.5,
        tone: float = 1.0,
    ) -> None:
        """Paint a polygon given in metres, shape (K, 3), or convex ones, shape (M, K, 3)."""
        depth = polygons[..., 2].ravel()
        if depth.max() > self.near:  # else all of it is behind the camera
            middle = max(float(depth.sum()) / len(depth), self.near)
            self.fill_pixels(self.project(polygons), cls, material, normal, pick, tone, middle)

    def panel(
        self,
        face: np.ndarray,
        span: Span,
        cls: str,
        material: str,
        normal: str = 'front',
        pick: float = 0.5,
        tone: float = 1.0,
    ) -> None:
        """Paint rectangles inside a face; ``span`` is u0, u1, v0, v1 of :func:`cells`."""
        self.fill(cells(face, *span), cls, material, normal, pick, tone)

    def ground(self, x0: float, x1: float, z0: float, z1: float, cls: str, material: str) -> None:
        """Paint a strip of ground along the street's bend."""
        # Denser near the camera, where the bend of the street shows most.
        z = np.geomspace(max(z0, self.near), max(z1, self.near), 12 if z1 - z0 > 20 else 2)
        z = np.concatenate([z, z[::-1]])
        x = np.repeat([x0, x1], len(z) // 2)
        self.fill(np.stack([x, np.zeros_like(z), z], -1), cls, material, 'up')

    def card(
        self, x: float, z: float, outline: np.ndarray, cls: str, material: str, pick: float = 0.5
    ) -> None:
        """Paint an upright cut-out facing the camera; ``outline`` in metres, shape (..., 2)."""
        scale = self.focal / z
        origin = (
            0.5 * self.shape[1] + (x + self.curve * z * z) * scale,
            self.horizon + self.eye * scale,
        )
        pixels = outline * (scale, -scale) + origin
        self.fill_pixels(pixels, cls, material, 'front', pick, depth=z)

    def faces(self, bottom: Base, y0: float, top: Base, y1: float) -> dict[str, np.ndarray]:
        """Compute the faces of a (tapered) box that the camera sees, far ones first.

        Args:
            bottom: x0, x1, z0, z1 of the lower rectangle, at height ``y0``.
            top: The same of the upper rectangle, at height ``y1``.

        Returns:
            Corners by direction, each of shape (4, 3) and in the order of :func:`cells`; u runs to
            the right for ``front`` and away from the camera for the sides.
        """
        (a0, a1, c0, c1), (b0, b1, d0, d1) = bottom, top
        seen = {}
        bend = self.curve * c0 * c0  # shift of the near end by the street's bend
        if a0 + bend > 0:
            seen['left'] = np.array([[a0, y0, c0], [a0, y0, c1], [b0, y1, d1], [b0, y1, d0]])
        elif a1 + bend < 0:
            seen['right'] = np.array([[a1, y0, c0], [a1, y0, c1], [b1, y1, d1], [b1, y1, d0]])
        if y1 < self.eye:
            seen['up'] = np.array([[b0, y1, d0], [b1, y1, d0], [b1, y1, d1], [b0, y1, d1]])
        seen['front'] = np.array([[a0, y0, c0], [a1, y0, c0], [b1, y1, d0], [b0, y1, d0]])
        return seen

    def box(
        self,
        bottom: Base,
        y0: float,
        top: Base,
        y1: float,
        cls: str,
        material: str,
        pick: float = 0.5,
    ) -> dict[str, np.ndarray]:
        """Paint a (tapered) box and return its visible faces."""
        seen = self.faces(bottom, y0, top, y1)
        tones = {'left': 0.86, 'right': 0.86, 'up': 1.08, 'front': 1.0}
        for normal, corners in seen.items():
            self.fill(corners, cls, material, normal, pick, tones[normal])
        return seen

    def cast(self, x0: float, x1: float, z0: float, z1: float, height: float) -> None:
        """Register an object of this footprint and height that casts a shadow."""
        self.casters.append((x0, x1, z0, z1, height))
