"""The words that every signature of the package uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

__all__ = [
    'DOMAINS',
    'IGNORE_INDEX',
    'NOWHERE',
    'OFFSET',
    'DomainBatch',
    'ImageBatch',
    'Losses',
    'MixedBatch',
    'SegOutput',
    'TeacherPrediction',
]

DOMAINS = ('source', 'target')
IGNORE_INDEX = 255
"""In label files; networks take theirs from the decode head."""

OFFSET = 256
"""Added to positions in the pipeline, so that 255, with which transforms pad maps, is none."""
NOWHERE = -1
"""The position of a pixel that was padded."""

Losses = dict[str, Tensor]
"""Name to scalar; every name with the letters ``loss`` is trained."""


@dataclass(frozen=True)
class ImageBatch:
    """Images of one domain, on the model's device.

    Args:
        images: Normalised images, shape (N, 3, H, W).
        samples: One data sample per image. A source sample carries ``gt_sem_seg``; a target sample
            never does, but may carry ``pseudo_sem_seg`` and ``image_label``.
    """

    images: Tensor
    samples: list[SegDataSample]

    @property
    def has_pseudo_labels(self) -> bool:
        """Whether every sample carries a pseudo label."""
        return all('pseudo_sem_seg' in sample for sample in self.samples)

    @property
    def has_image_labels(self) -> bool:
        """Whether every sample carries a label of the whole image."""
        return all('image_label' in sample for sample in self.samples)

    @property
    def image_labels(self) -> Tensor:
        """What classes the images show, shape (N, C), in [0, 1]."""
        return torch.stack([sample.image_label for sample in self.samples])

    @property
    def labels(self) -> Tensor:
        """The pseudo label if there is one, else ground truth, shape (N, H, W), int64."""
        field = 'pseudo_sem_seg' if 'pseudo_sem_seg' in self.samples[0] else 'gt_sem_seg'
        return torch.cat([sample.get(field).data for sample in self.samples])


@dataclass(frozen=True)
class DomainBatch:
    """A training batch of each domain; None for the target where a method does not read it."""

    source: ImageBatch
    target: ImageBatch = None  # type: ignore[assignment]

    @classmethod
    def collect(
        cls, inputs: dict[str, Tensor], data_samples: dict[str, list[SegDataSample]]
    ) -> DomainBatch:
        """The batch that a :class:`UDADataPreprocessor` gives, one entry per domain in each."""
        return cls(
            **{domain: ImageBatch(inputs[domain], data_samples[domain]) for domain in inputs}
        )

    def __iter__(self) -> Iterator[tuple[str, ImageBatch]]:
        yield 'source', self.source
        yield 'target', self.target


@dataclass(frozen=True)
class SegOutput:
    """One pass of the student.

    Args:
        features: What the backbone (and neck) gave, the decode head's input.
        seg_logits: Class scores before upsampling, shape (N, C, h, w).
        domain: ``'source'``, ``'target'`` or a mixed domain's name.
        scores: Where the head itself upsamples (FCN-8s), its class scores before that.
    """

    features: tuple[Tensor, ...]
    seg_logits: Tensor
    domain: str
    scores: Tensor | None = None


@dataclass(frozen=True)
class TeacherPrediction:
    """What a teacher says of target images, at their size and without a graph.

    Args:
        probabilities: Shape (N, C, H, W), in [0, 1].
        label: The most probable class, shape (N, H, W), int64.
        confidence: Its probability, shape (N, H, W).
        significance: How much each pixel counts, shape (N, H, W), in [0, 1]; None for 1.
    """

    probabilities: Tensor
    label: Tensor
    confidence: Tensor
    significance: Tensor | None = None


@dataclass(frozen=True)
class MixedBatch:
    """Images in which parts come from the source and the rest from the target.

    Args:
        images: Normalised, shape (N, 3, H, W).
        labels: Ground truth where the source was pasted, else the teacher's label, (N, H, W).
        pixel_weight: Confidence in each label, shape (N, H, W); 1 for ground truth.
        significance: As in :class:`TeacherPrediction`; 1 for ground truth; None for 1 everywhere.
        mask: Shape (N, 1, H, W): 1 for pixels of the source, 0 for those of the target.
    """

    images: Tensor
    labels: Tensor
    pixel_weight: Tensor
    significance: Tensor | None
    mask: Tensor
