"""Detail crops of images: one random crop of each, or overlapping slides over the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_uda.structures import Crops

__all__ = ['Slides', 'draw_crops', 'to_size']


def draw_crops(
    images: Tensor,
    size: tuple[int, int],
    divisor: int,
    seeds: Sequence[int] | None = None,
    name: str = '',
) -> Crops:
    """Draw a crop of each image, on the host.

    Args:
        images: Shape (N, 3, H, W).
        size: Height and width of the crops.
        divisor: Number that must divide all corners; both ends of each side are drawn, too.
        seeds: One per image; None takes PyTorch's global generator.
        name: Name of the pass; each pass has its own crops.

    Raises:
        ValueError: ``divisor`` does not divide a side of the images, or they are smaller.

    Example:
        >>> crops = draw_crops(torch.empty(3, 3, 24, 32), (16, 16), divisor=8, seeds=[1, 2, 3])
        >>> crops.corners
        [(0, 8), (8, 0), (8, 0)]
    """
    sides = images.shape[2:]
    for side, least in zip(sides, size):
        if side % divisor or side < least:
            raise ValueError(
                f'MultiResolutionSegmentor.detail_size: expected images of at least {size} whose '
                f'sides {divisor} divides, but got {tuple(sides)}; write another RandomCrop'
                '.crop_size or detail_size'
            )
    if seeds is None:
        seeds = torch.randint(2**31, (len(images),)).tolist()
    corners = []
    for seed in seeds:
        rng = np.random.default_rng((seed, crc32(name.encode())))
        top, left = (
            divisor * int(rng.integers((side - each) // divisor + 1))
            for side, each in zip(sides, size)
        )
        corners.append((top, left))
    return Crops(corners, size)


class Slides:
    """Overlapping crops that cover images, the last ones moved back inside.

    Has the methods of :class:`~mmseg_uda.structures.Crops`, with all crops of an image one after
    the other in the batch. There are no loops over crops, so that exporters keep any size.

    Args:
        number: Number of images, N.
        sides: Height and width of the images.
        size: Height and width of the crops; those of the images if these are smaller.
        step: Rows and columns between crops.
        divisor: Number that divides all of them.

    Example:
        >>> slides = Slides(1, (2, 10), (2, 6), (2, 4), divisor=2)
        >>> slides.cut(torch.arange(20.).view(1, 1, 2, 10))[:, 0, 0]  # first rows
        tensor([[0., 1., 2., 3., 4., 5.],
                [4., 5., 6., 7., 8., 9.]])
    """

    def __init__(
        self,
        number: int,
        sides: Sequence[int],
        size: Sequence[int],
        step: Sequence[int],
        divisor: int,
    ) -> None:
        self.number = number
        # In units of the divisor. ONNX rounds negative quotients up, and PyTorch's exporter would
        # cancel a divisor that steps and images have in common, which makes such quotients.
        self._sides, size, self._step = (
            [side // divisor for side in part] for part in (sides, size, step)
        )
        self._size = [torch.sym_min(*pair) for pair in zip(self._sides, size)]
        self._factor = divisor

    @property
    def size(self) -> tuple[Any, Any]:
        """Height and width of the crops: integers, or an exporter's symbols."""
        height, width = (side * self._factor for side in self._size)
        return height, width

    def scaled(self, divisor: int, factor: int = 1) -> Slides:
        """Return the slides on a grid of ``factor`` positions per ``divisor`` pixels."""
        slides = copy(self)
        slides._factor = self._factor // divisor * factor
        return slides

    def cut(self, maps: Tensor) -> Tensor:
        """Cut K crops of each image (N, C, H, W): (N * K, C, h, w)."""
        rows, columns = (self._positions(axis, maps.device) for axis in (0, 1))  # (k, h), (l, w)
        cut = maps[:, :, rows][..., columns]  # (N, C, k, h, l, w)
        return cut.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)

    def place(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Average crops (N * K, C, h, w) at their positions in maps of a ``size`` (H, W)."""
        rows, columns = (self._positions(axis, maps.device) for axis in (0, 1))  # (k, h), (l, w)
        grid = self.number, rows.shape[0], columns.shape[0]
        maps = maps.reshape(*grid, *maps.shape[1:])  # (N, k, l, C, h, w)
        maps = maps.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)  # (N, C, k * h, l * w)
        maps = _average(maps, 2, rows.flatten(), size[0])  # (N, C, H, l * w)
        return _average(maps, 3, columns.flatten(), size[1])

    def restrict(self, maps: Tensor) -> Tensor:
        """Return the maps: slides cover everything."""
        return maps

    def _positions(self, axis: int, device: torch.device) -> Tensor:
        """Rows or columns of each crop, shape (K, h)."""
        side, size, step = self._sides[axis], self._size[axis], self._step[axis]
        number = (side - size + step - 1) // step + 1
        first = (torch.arange(number, device=device) * step).clamp(max=side - size)
        within = torch.arange(size * self._factor, device=device)
        return first.unsqueeze(1) * self._factor + within


def _average(maps: Tensor, axis: int, index: Tensor, size: int) -> Tensor:
    """Average the entries along an axis that have one index, which all of ``range(size)`` have."""
    shape = [*maps.shape]
    shape[axis] = size
    total = maps.new_zeros(shape).index_add(axis, index, maps)
    count = maps.new_zeros(size).index_add(0, index, torch.ones_like(index, dtype=maps.dtype))
    return total / count.view(-1, *[1] * (maps.ndim - 1 - axis))


def to_size(maps: Tensor, size: Sequence[Any]) -> Tensor:
    """Resize maps (N, C, h, w) to a size; exporters keep the resize where it changes nothing.

    Example:
        >>> to_size(torch.zeros(1, 2, 4, 6), (8, 12)).shape
        torch.Size([1, 2, 8, 12])
    """
    if not torch.compiler.is_compiling() and tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode='bilinear', align_corners=False)
