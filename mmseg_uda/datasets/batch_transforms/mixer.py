"""Mixing of a source image with a target image: the part that all mixers share.

Everything is batched and stays on the batch's device; the host never waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from mmseg_uda.datasets.batch_transforms.base import BatchTransform
from mmseg_uda.structures import DomainBatch, MixedBatch, TeacherPrediction

__all__ = ['Mixer', 'paste']


def paste(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Take pixels of the source where the mask is 1, and of the target where it is 0.

    Args:
        mask: Shape (N, 1, H, W).
        source: Shape (N, C, H, W) or (N, H, W).
        target: Of the source's shape and dtype.

    Example:
        >>> mask = torch.tensor([[[[1.0, 0.0]]]])
        >>> paste(mask, torch.tensor([[[5, 5]]]), torch.tensor([[[7, 7]]]))
        tensor([[[5, 7]]])
    """
    return torch.where((mask if source.dim() == 4 else mask[:, 0]) > 0.5, source, target)


class Mixer(BatchTransform):
    """Base of the mixers; a subclass chooses the pixels that come from the source.

    Image i of the source is mixed with image i of the target. One mask mixes images, labels,
    weights and significance, so that they always agree. A mixer draws the random numbers of an
    image from the image's own generator (see :func:`~mmseg_uda.datasets.batch_transforms.draw`).

    Example:
        >>> class LeftFromSource(Mixer):
        ...     def mask(self, batch, teacher, iteration, generators=None):
        ...         mask = torch.zeros_like(batch.source.images[:, :1])  # (N, 1, H, W)
        ...         mask[..., : mask.shape[-1] // 2] = 1
        ...         return mask
    """

    def check(self, num_classes: int) -> None:
        """Check before training that the settings suit a network.

        Raises:
            ValueError: If they do not.
        """

    def mask(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> Tensor:
        """Choose the pixels that come from the source.

        Args:
            batch: Source with its ground truth, and target; images of one size.
            teacher: Prediction for the target images.
            iteration: Number of the training iteration, from 0.
            generators: One per pair of images, on the batch's device; None takes the global one.

        Returns:
            1 for pixels of the source, 0 for those of the target; shape (N, 1, H, W).
        """
        raise NotImplementedError

    def mask_and_labels(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        generators: Sequence[Generator] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Choose the mask and the labels of the target's pixels, by default the teacher's.

        Args:
            batch: As in :meth:`mask`; so are the others.

        Returns:
            The mask, shape (N, 1, H, W), and labels, shape (N, H, W), int64.
        """
        return self.mask(batch, teacher, iteration, generators), teacher.label

    @torch.no_grad()
    def forward(
        self,
        batch: DomainBatch,
        teacher: TeacherPrediction,
        iteration: int,
        pixel_weight: Tensor | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> MixedBatch:
        """Mix a batch.

        Args:
            batch: As in :meth:`mask`.
            teacher: As in :meth:`mask`; its significance is mixed with the source's, which is 1.
            iteration: As in :meth:`mask`.
            pixel_weight: Weight of the target's pixels, shape (N, H, W) or one that broadcasts to
                it, such as a scalar; those of the source weigh 1. None weighs all of them 1.
            generators: As in :meth:`mask`.

        Raises:
            ValueError: If sizes differ.
        """
        self._check_sizes(batch, teacher)
        mask, labels = self.mask_and_labels(batch, teacher, iteration, generators)
        ones = torch.ones_like(teacher.confidence)  # (N, H, W)
        weight = ones if pixel_weight is None else pixel_weight.to(ones).expand_as(ones)
        significance = teacher.significance
        if significance is not None:
            significance = paste(mask, torch.ones_like(significance), significance)
        return MixedBatch(
            images=paste(mask, batch.source.images, batch.target.images),
            labels=paste(mask, batch.source.labels, labels),
            pixel_weight=paste(mask, ones, weight),
            significance=significance,
            mask=mask,
            probabilities=teacher.probabilities,
            seeds=teacher.seeds,
        )

    def _check_sizes(self, batch: DomainBatch, teacher: TeacherPrediction) -> None:
        source, target = (tuple(part.images.shape) for _, part in batch)  # (N, 3, H, W)
        if source != target:
            raise ValueError(
                f'{type(self).__name__}: expected source and target images of one shape, but got '
                f'{source} and {target}; write the same batch_size and the same '
                'RandomCrop.crop_size for both'
            )
        expected = (target[0], *target[2:])
        if tuple(teacher.label.shape) != expected:
            raise ValueError(
                f"{type(self).__name__}: expected the teacher's labels of shape {expected}, but "
                f'got {tuple(teacher.label.shape)}; resize the prediction to the images'
            )
