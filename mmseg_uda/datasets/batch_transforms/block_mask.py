"""Masking of images by blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import BatchTransform, draw
from mmseg_uda.utils.arguments import check_integer, check_number

__all__ = ['BlockMask', 'block_masks']


def block_masks(
    images: Tensor, block_size: int, ratio: float, generators: Sequence[Generator] | None = None
) -> Tensor:
    """Draw masks of square blocks.

    Args:
        images: Shape (N, C, H, W).
        block_size: Side of a block in pixels; round(H / side) rows of round(W / side) blocks are
            stretched to the image.
        ratio: Probability with which a block is masked, in [0, 1].
        generators: One per image, on the images' device; None takes the global one.

    Returns:
        1 for pixels that are kept, 0 for masked ones, shape (N, 1, H, W).

    Example:
        >>> masks = block_masks(torch.empty(1, 3, 4, 4), block_size=2, ratio=0.5)
        >>> masks.view(2, 2, 2, 2).var((1, 3))  # within each block
        tensor([[0., 0.],
                [0., 0.]])
    """
    number, _, *size = images.shape
    rows, columns = (max(round(each / block_size), 1) for each in size)
    kept = draw(torch.rand, (number, 1, rows, columns), images.device, generators) >= ratio
    return F.interpolate(kept.float(), size, mode='nearest')


@TRANSFORMS.register_module()
class BlockMask(BatchTransform):
    """The masks of MIC (CVPR 2023, `arXiv:2212.01322 <https://arxiv.org/abs/2212.01322>`_).

    Masked pixels are 0 in normalised images, which is the mean colour.

    Args:
        block_size: As for :func:`block_masks`; 64 for crops of 1024x1024, 32 for those of 512x512.
        ratio: The same; r in the paper.

    Example:
        >>> BlockMask(block_size=4, ratio=1.0)(torch.ones(1, 3, 8, 8)).unique()
        tensor([0.])
    """

    def __init__(self, block_size: int = 64, ratio: float = 0.7) -> None:
        super().__init__()
        check_integer('BlockMask.block_size', block_size, 1)
        check_number('BlockMask.ratio', ratio, '[0, 1]')
        self.block_size = block_size
        self.ratio = ratio

    def forward(self, images: Tensor, generators: Sequence[Generator] | None = None) -> Tensor:
        """Mask normalised images or features (N, C, H, W), each by a mask of its own."""
        masks = block_masks(images, self.block_size, self.ratio, generators)
        return images * masks.to(images.dtype)  # features have a gradient
