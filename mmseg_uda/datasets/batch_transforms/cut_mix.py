"""Mixing by rectangles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import draw
from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.structures import DomainBatch, TeacherPrediction
from mmseg_uda.utils.arguments import check_number

__all__ = ['CutMix', 'rectangles']


def rectangles(
    images: Tensor, ratio: float, generators: Sequence[Generator] | None = None
) -> Tensor:
    r"""Draw one rectangle per image, of the same share of the area in all.

    As in French et al.'s code the height is :math:`r^u H` with u uniform in [0, 1], the width
    :math:`r^{1-u} W`, both rounded, and the place is uniform among those inside the image.

    Args:
        images: Shape (N, C, H, W).
        ratio: r, the rectangle's share of the area, in (0, 1).
        generators: One per image, on the images' device; None takes the global one.

    Returns:
        1 inside and 0 outside, shape (N, 1, H, W).

    Example:
        >>> rectangles(torch.empty(2, 3, 8, 8), ratio=0.5).amax((1, 2, 3))
        tensor([1., 1.])
    """
    number, _, height, width = images.shape
    # Each (N, 1): one number per image.
    shape, down, across = draw(torch.rand, (number, 3, 1), images.device, generators).unbind(1)
    inside = []
    for side, size, place in ((ratio**shape, height, down), (ratio ** (1 - shape), width, across)):
        length = (side * size).round().clamp(min=1)
        first = (place * (size - length + 1)).floor()
        index = torch.arange(size, device=images.device)
        inside.append((index >= first) & (index < first + length))
    rows, columns = inside  # (N, H) and (N, W)
    return (rows[:, None, :, None] & columns[:, None, None, :]).float()


@TRANSFORMS.register_module()
class CutMix(Mixer):
    """CutMix (`arXiv:1905.04899 <https://arxiv.org/abs/1905.04899>`_) for segmentation: a rectangle
    of the source on the target.

    The rectangle is drawn as by French et al., "Semi-supervised semantic segmentation needs strong,
    varied perturbations", `arXiv:1906.01916 <https://arxiv.org/abs/1906.01916>`_.

    Args:
        ratio: Share of the image that comes from the source, in (0, 1); 0.5 in the latter paper.

    Example:
        >>> from mmseg_uda.structures import ImageBatch
        >>> batch = DomainBatch(*[ImageBatch(torch.rand(2, 3, 8, 8), [])] * 2)
        >>> CutMix(ratio=0.25).mask(batch, teacher=None, iteration=0).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, ratio: float = 0.5) -> None:
        super().__init__()
        check_number('CutMix.ratio', ratio, '(0, 1)')
        self.ratio = ratio

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> Tensor:
        return rectangles(batch.target.images, self.ratio, generators)
