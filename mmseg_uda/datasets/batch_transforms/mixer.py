"""Mixing a source and a target image of a batch: what all mixers share.

Everything is batched and stays on the batch's device; the host never waits for it.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from mmseg_uda.structures import DomainBatch, MixedBatch, TeacherPrediction

__all__ = ['Mixer', 'check_share', 'paste']


def paste(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Pixels of the source where the mask is 1, of the target where it is 0; nothing between.

    Args:
        mask: Shape (N, 1, H, W).
        source: Shape (N, C, H, W) or (N, H, W).
        target: Of the source's shape and dtype.
    """
    return torch.where((mask if source.dim() == 4 else mask[:, 0]) > 0.5, source, target)


def check_share(key: str, value: float) -> float:
    """Check that a share lies in (0, 1).

    Raises:
        ValueError: If it does not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ValueError(f'{key} got {value!r}; write a number in (0, 1) instead')
    return float(value)


class Mixer(nn.Module):
    """Base of the mixers: a subclass says which pixels come from the source.

    Image i of the source is mixed with image i of the target. One mask mixes images, labels,
    weights and significance, so that they cannot come apart. Random numbers are PyTorch's global
    ones, which the training loop seeds by iteration and rank.
    """

    def check(self, num_classes: int) -> None:
        """Check that the settings suit a network, before it is trained.

        Raises:
            ValueError: If they do not.
        """

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generator: Generator | None = None,
    ) -> Tensor:
        """Where the source goes.

        Args:
            batch: Source with its ground truth, and target; images of one size.
            teacher: What the teacher says of the target images.
            iteration: Number of the training iteration, from 0.
            generator: One of the batch's device; None takes the global one.

        Returns:
            1 for pixels of the source, 0 for those of the target; shape (N, 1, H, W).
        """
        raise NotImplementedError

    def target_labels(
        self, batch: DomainBatch, teacher: TeacherPrediction, iteration: int
    ) -> Tensor:
        """Labels of the target's pixels, shape (N, H, W): what the teacher says."""
        return teacher.label

    @torch.no_grad()
    def forward(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        pixel_weight: Tensor | None = None,
        generator: Generator | None = None,
    ) -> MixedBatch:
        """Mix a batch.

        Args:
            batch: As in :meth:`mask`.
            teacher: As in :meth:`mask`; its significance is mixed with the source's, which is 1.
            iteration: As in :meth:`mask`.
            pixel_weight: Weight of the target's pixels, shape (N, H, W) or one that broadcasts to
                it, such as a scalar; those of the source weigh 1. None weighs all of them 1.
            generator: As in :meth:`mask`.

        Raises:
            ValueError: If sizes differ.
        """
        self._check_sizes(batch, teacher)
        mask = self.mask(batch, teacher, iteration, generator)
        ones = torch.ones_like(teacher.confidence)
        weight = ones if pixel_weight is None else pixel_weight.to(ones).expand_as(ones)
        significance = teacher.significance
        return MixedBatch(
            images=paste(mask, batch.source.images, batch.target.images),
            labels=paste(mask, batch.source.labels, self.target_labels(batch, teacher, iteration)),
            pixel_weight=paste(mask, ones, weight),
            significance=None
            if significance is None
            else paste(mask, torch.ones_like(significance), significance),
            mask=mask,
        )

    def _check_sizes(self, batch: DomainBatch, teacher: TeacherPrediction) -> None:
        source, target = (tuple(part.images.shape) for _, part in batch)
        if source != target:
            raise ValueError(
                f'{type(self).__name__} got source images of shape {source} and '
                f'target images of shape {target}; write the same batch_size and the '
                'same RandomCrop.crop_size for both instead'
            )
        expected = (target[0], *target[2:])
        if tuple(teacher.label.shape) != expected:
            raise ValueError(
                f"{type(self).__name__} got the teacher's labels of shape "
                f'{tuple(teacher.label.shape)} for images of shape {target}; resize '
                'what the teacher says to the images'
            )
