"""Mixing by classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import draw
from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.structures import DomainBatch, TeacherPrediction
from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = [
    'DIRECTIONS',
    'ClassMix',
    'choose_classes',
    'pixels_of',
    'present_classes',
]

DIRECTIONS = ('source2target', 'target2source')


def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Find the classes in each image.

    Args:
        labels: Shape (N, H, W), int64. Values outside of 0..C-1, such as the ignore index, are no
            classes.
        num_classes: C.

    Returns:
        Shape (N, C), bool.

    Example:
        >>> present_classes(torch.tensor([[[0, 2, 255]]]), num_classes=3)
        tensor([[ True, False,  True]])
    """
    # One more column collects the values that are no class.
    present = torch.zeros((len(labels), num_classes + 1), dtype=torch.bool, device=labels.device)
    return present.scatter_(1, _slots(labels, num_classes), True)[:, :-1]


def choose_classes(
    present: Tensor, share: float, generators: Sequence[Generator] | None = None
) -> Tensor:
    """Choose ceil(share · n) of the n present classes of each image, each subset equally likely.

    Args:
        present: Shape (N, C), bool.
        share: In (0, 1].
        generators: One per image, on the tensor's device; None takes the global one.

    Returns:
        Shape (N, C), bool.

    Example:
        >>> choose_classes(torch.tensor([[True, True, True, False]]), share=0.5).sum()
        tensor(2)
    """
    scores = draw(torch.rand, present.shape, present.device, generators)  # (N, C)
    # Absent classes come last: 2 is above every score.
    ranks = scores.masked_fill(~present, 2.0).argsort(1).argsort(1)
    # A little less, because 0.3 · 10 may be above 3 in floating point.
    return ranks < (present.sum(1, keepdim=True) * share - 1e-4).ceil()


def pixels_of(chosen: Tensor, labels: Tensor) -> Tensor:
    """Mark the pixels whose class is chosen.

    Args:
        chosen: Shape (N, C), bool.
        labels: Shape (N, H, W), int64; values that are no class are not chosen.

    Returns:
        1 or 0, shape (N, 1, H, W).

    Example:
        >>> pixels_of(torch.tensor([[True, False]]), torch.tensor([[[0, 1, 255]]]))
        tensor([[[[1., 0., 0.]]]])
    """
    chosen = torch.nn.functional.pad(chosen.float(), (0, 1))
    pixels = chosen.gather(1, _slots(labels, chosen.shape[1] - 1))
    return pixels.view(len(labels), 1, *labels.shape[1:])


def _slots(labels: Tensor, num_classes: int) -> Tensor:
    """Labels of each image in a row, C for values that are no class; shape (N, H · W)."""
    known = (labels >= 0) & (labels < num_classes)
    return labels.masked_fill(~known, num_classes).flatten(1)


@TRANSFORMS.register_module()
class ClassMix(Mixer):
    """ClassMix (`arXiv:2007.07936 <https://arxiv.org/abs/2007.07936>`_) between domains: pastes
    all pixels of half of an image's classes.

    Args:
        direction: ``'source2target'``: classes of the source's ground truth onto the target, DACS
            (`arXiv:2007.08702 <https://arxiv.org/abs/2007.08702>`_). ``'target2source'``: classes
            of the teacher's label onto the source, CAMix's "inverse DACS".
        share: Share of the present classes, rounded up, in (0, 1]. The ignore index is no class
            (in DACS's code it is one).

    Example:
        >>> from mmengine.structures import PixelData
        >>> from mmseg.structures import SegDataSample
        >>> from mmseg_uda.structures import ImageBatch
        >>> label = PixelData(data=torch.tensor([[[0, 0, 1, 1]]]))  # (1, H, W)
        >>> source = ImageBatch(torch.rand(1, 3, 1, 4), [SegDataSample(gt_sem_seg=label)])
        >>> batch = DomainBatch(source, ImageBatch(torch.rand(1, 3, 1, 4), [SegDataSample()]))
        >>> probabilities = torch.rand(1, 2, 1, 4)
        >>> teacher = TeacherPrediction(probabilities, *probabilities.max(1)[::-1])
        >>> ClassMix().mask(batch, teacher, iteration=0).sum()  # the pixels of one of two classes
        tensor(2.)
    """

    def __init__(self, direction: str = 'source2target', share: float = 0.5) -> None:
        super().__init__()
        check_choice('ClassMix.direction', direction, DIRECTIONS)
        self.direction = direction
        check_number('ClassMix.share', share, '(0, 1]')
        self.share = share

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> Tensor:
        forwards = self.direction == 'source2target'
        labels = batch.source.labels if forwards else teacher.label
        # (N, C); the pasted classes are those of the domain that is pasted.
        present = present_classes(labels, teacher.probabilities.shape[1])
        pixels = pixels_of(choose_classes(present, self.share, generators), labels)
        return pixels if forwards else 1 - pixels
