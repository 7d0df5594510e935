"""Mixing by classes."""

from __future__ import annotations

import torch
from mmseg.registry import TRANSFORMS
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.mixer import Mixer
from mmseg_uda.structures import DomainBatch, TeacherPrediction

__all__ = [
    'DIRECTIONS',
    'ClassMix',
    'check_class_share',
    'choose_classes',
    'pixels_of',
    'present_classes',
]

DIRECTIONS = ('source2target', 'target2source')


def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Which classes an image has.

    Args:
        labels: Shape (N, H, W), int64. Values outside of 0..C-1, such as the ignore index, are no
            classes.
        num_classes: C.

    Returns:
        Shape (N, C), bool.
    """
    present = torch.zeros((len(labels), num_classes + 1), dtype=torch.bool, device=labels.device)
    return present.scatter_(1, _slots(labels, num_classes), True)[:, :-1]


def choose_classes(present: Tensor, share: float, generator: Generator | None = None) -> Tensor:
    """Choose ceil(share · n) of the n present classes of each image, each subset equally likely.

    Args:
        present: Shape (N, C), bool.
        share: In (0, 1].
        generator: One of the tensor's device; None takes the global one.

    Returns:
        Shape (N, C), bool.
    """
    scores = torch.rand(present.shape, generator=generator, device=present.device)
    ranks = scores.masked_fill(~present, 2.0).argsort(1).argsort(1)
    # Less a little, as 0.3 · 10 may come out above 3.
    return ranks < (present.sum(1, keepdim=True) * share - 1e-4).ceil()


def pixels_of(chosen: Tensor, labels: Tensor) -> Tensor:
    """Pixels whose class is chosen, 1 or 0; shape (N, 1, H, W).

    Args:
        chosen: Shape (N, C), bool.
        labels: Shape (N, H, W), int64; what is no class is not chosen.
    """
    chosen = torch.nn.functional.pad(chosen.float(), (0, 1))
    pixels = chosen.gather(1, _slots(labels, chosen.shape[1] - 1))
    return pixels.view(len(labels), 1, *labels.shape[1:])


def _slots(labels: Tensor, num_classes: int) -> Tensor:
    """Labels of each image in a row, C for what is no class; shape (N, H · W)."""
    known = (labels >= 0) & (labels < num_classes)
    return labels.masked_fill(~known, num_classes).flatten(1)


def check_class_share(key: str, share: float) -> float:
    """Check that a share of classes lies in (0, 1].

    Raises:
        ValueError: If it does not.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise ValueError(f'{key} got {share!r}; write a number in (0, 1] instead')
    return float(share)


@TRANSFORMS.register_module()
class ClassMix(Mixer):
    """ClassMix (`arXiv:2007.07936 <https://arxiv.org/abs/2007.07936>`_) between domains: all pixels
    of half of an image's classes.

    Args:
        direction: ``'source2target'``: classes of the source's ground truth onto the target, DACS
            (`arXiv:2007.08702 <https://arxiv.org/abs/2007.08702>`_). ``'target2source'``: classes
            of the teacher's label onto the source, CAMix's "inverse DACS".
        share: Share of the present classes, rounded up, in (0, 1]. The ignore index is no class
            (in DACS's code it is one).
    """

    def __init__(self, direction: str = 'source2target', share: float = 0.5) -> None:
        super().__init__()
        if direction not in DIRECTIONS:
            raise ValueError(
                f'ClassMix.direction got {direction!r}; write one of {DIRECTIONS} instead'
            )
        self.direction = direction
        self.share = check_class_share('ClassMix.share', share)

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generator: Generator | None = None,
    ) -> Tensor:
        forwards = self.direction == 'source2target'
        labels = batch.source.labels if forwards else teacher.label
        present = present_classes(labels, teacher.probabilities.shape[1])
        pixels = pixels_of(choose_classes(present, self.share, generator), labels)
        return pixels if forwards else 1 - pixels
