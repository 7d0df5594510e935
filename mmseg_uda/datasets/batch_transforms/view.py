"""Views of whole images: the part that a crop, a flip or a shear shows, for images and maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import BatchTransform, draw
from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence, expect

__all__ = ['RandomView', 'View']


@dataclass(frozen=True)
class View:
    """The part of each image that a view shows.

    Positions are in [-1, 1] from edge to edge of an image, so that one view warps maps of any
    resolution.

    Args:
        theta: Affine map from positions (x, y, 1) in the view to (x, y) in the image, shape
            (N, 2, 3).
        size: Height and width of the view in pixels.
        hole: Left, top, right and bottom of a rectangle of the view that shows nothing, shape
            (N, 4); None for none.
    """

    theta: Tensor
    size: tuple[int, int]
    hole: Tensor | None = None

    def warp(
        self,
        maps: Tensor,
        size: tuple[int, int] | None = None,
        mode: str = 'bilinear',
        fill: Tensor | float = 0.0,
    ) -> Tensor:
        """Show maps of whole images.

        Args:
            maps: Shape (N, C, H, W) of any resolution.
            size: Size of the result; None for that of the view.
            mode: ``'bilinear'`` or ``'nearest'``.
            fill: Value beyond the image and in the hole: a number, or a tensor (C, 1, 1).

        Returns:
            Shape (N, C, h, w), in the dtype of ``maps``.
        """
        shape = (*maps.shape[:2], *(size or self.size))
        with torch.autocast(maps.device.type, enabled=False):  # it would shift them by pixels
            theta = self.theta.float()
            grid = F.affine_grid(theta, list(shape), align_corners=False)  # (N, h, w, 2)
            warped = F.grid_sample(
                maps.float(), grid, mode=mode, padding_mode='border', align_corners=False
            )
        shown = (grid.abs() <= 1).all(3).unsqueeze(1)  # (N, 1, h, w)
        if self.hole is not None:
            shown = shown & ~self._in_hole(shape[2:], maps.device)
        return torch.where(shown, warped, warped.new_ones(()) * fill).to(maps.dtype)

    def warp_labels(self, labels: Tensor, ignore_index: int, **kwargs: tuple[int, int]) -> Tensor:
        """Show label maps, shape (N, H, W), by the nearest pixel; what is not shown is ignored."""
        warped = self.warp(labels.unsqueeze(1), mode='nearest', fill=ignore_index, **kwargs)
        return warped.squeeze(1)

    def _in_hole(self, size: tuple[int, int], device: torch.device) -> Tensor:
        assert self.hole is not None
        left, top, right, bottom = self.hole.view(-1, 4, 1, 1).unbind(1)  # (N, 1, 1) each
        y, x = (
            (2 * torch.arange(length, device=device) + 1) / length - 1 for length in size
        )  # centres of the pixels
        rows = (y.view(-1, 1) >= top) & (y.view(-1, 1) < bottom)  # (N, h, 1)
        return (rows & (x >= left) & (x < right)).unsqueeze(1)  # (N, 1, h, w)


@TRANSFORMS.register_module()
class RandomView(BatchTransform):
    """Crop and flip the images of a batch at random, after a resize by a random factor.

    The view comes from a batch of whole images, so that a method can compute something of the whole
    image and compare it with the view.

    Args:
        size: Height and width of the view in pixels.
        ratio: Range of the factor by which images are resized; a view is never larger than the
            resized image.
        flip_prob: Probability of a horizontal flip.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> view = RandomView(size=(2, 4), ratio=(1, 1), flip_prob=0)(torch.rand(3, 3, 4, 8))
        >>> view.theta[0, :, :2]  # half of the image
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """

    def __init__(
        self, size: Sequence[int], ratio: Sequence[float] = (0.5, 1.5), flip_prob: float = 0.5
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sequence(f'{name}.ratio', ratio, check_number, '(0, inf)', length=2)
        expect(ratio[0] <= ratio[1], f'{name}.ratio', '(smallest, largest)', ratio)
        check_number(f'{name}.flip_prob', flip_prob, '[0, 1]')
        check_sequence(f'{name}.size', size, check_integer, 1, length=2)
        self.size = (int(size[0]), int(size[1]))
        self.ratio = tuple(ratio)
        self.flip_prob = flip_prob

    def forward(self, images: Tensor, generators: Sequence[Generator] | None = None) -> View:
        """Draw a view of each image of a batch (N, 3, H, W)."""
        scale, x, y, flip = draw(torch.rand, (len(images), 4), images.device, generators).unbind(
            1
        )  # (N,) each, in [0, 1)
        shares = [one / whole for one, whole in zip(self.size, images.shape[2:])]
        low, high = self.ratio
        factor = (low + (high - low) * scale).clamp(min=max(shares))
        height, width = (share / factor for share in shares)  # of the view in the image
        zero = torch.zeros_like(x)
        signed = torch.where(flip < self.flip_prob, -width, width)
        rows = (signed, zero, (2 * x - 1) * (1 - width), zero, height, (2 * y - 1) * (1 - height))
        return View(torch.stack(rows, 1).view(-1, 2, 3), self.size)
