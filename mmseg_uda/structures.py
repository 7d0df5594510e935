"""Types and constants that signatures of the whole package use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Iterator

import torch
from mmseg.structures import SegDataSample
from torch import Generator, Tensor

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
"""Value of unlabelled pixels in label files; networks take theirs from the decode head."""

OFFSET = 256
"""Offset of prior positions in pipelines, where stock transforms pad maps with 255."""
NOWHERE = -1
"""Prior position of padded pixels."""

Losses = dict[str, Tensor]
"""Scalars by name; mmengine sums every name that contains ``loss`` into the objective."""


@dataclass(frozen=True)
class ImageBatch:
    """A batch of images of one domain, on the model's device.

    Args:
        images: Normalised images, shape (N, 3, H, W).
        samples: One data sample per image. A source sample carries ``gt_sem_seg``; a target sample
            never does, but may carry ``pseudo_sem_seg``, ``soft_label``, ``image_label`` and
            ``label_mask``.
            ``seed``, among the meta information, follows from the seed of the run and the sample's
            position.
    """

    images: Tensor
    samples: list[SegDataSample]

    @property
    def has_pseudo_labels(self) -> bool:
        """True if every sample carries a pseudo label."""
        return all('pseudo_sem_seg' in sample for sample in self.samples)

    @property
    def has_image_labels(self) -> bool:
        """True if every sample carries an image-level label."""
        return all('image_label' in sample for sample in self.samples)

    @property
    def has_soft_labels(self) -> bool:
        """True if every sample carries class probabilities."""
        return all('soft_label' in sample for sample in self.samples)

    @cached_property
    def generators(self) -> list[Generator]:
        """Random generator of each image, on the images' device.

        Whatever a method draws for an image comes from the image's own generator: N processes then
        draw the numbers that one process with the joint batch draws. A sample without ``seed``,
        which no :class:`UDATrainLoop` loaded, takes one of PyTorch's global generator.
        """
        seeds = [sample.metainfo.get('seed') for sample in self.samples]
        # The meta device, whose tensors hold no values, has no generators.
        device = 'cpu' if self.images.is_meta else self.images.device
        return [
            Generator(device).manual_seed(int(torch.randint(2**31, ())) if seed is None else seed)
            for seed in seeds
        ]

    @property
    def image_labels(self) -> Tensor:
        """Image-level labels: share or presence of each class, shape (N, C), in [0, 1]."""
        return torch.stack([sample.image_label for sample in self.samples])

    @property
    def soft_labels(self) -> Tensor:
        """Class probabilities of whole images, of any resolution: (N, C, h, w), float32."""
        return torch.stack([sample.soft_label.float() for sample in self.samples])

    @property
    def labels(self) -> Tensor:
        """Pseudo labels if the samples carry them, else ground truth; shape (N, H, W), int64."""
        field = 'pseudo_sem_seg' if 'pseudo_sem_seg' in self.samples[0] else 'gt_sem_seg'
        return torch.cat([sample.get(field).data for sample in self.samples])

    @property
    def label_mask(self) -> Tensor | None:
        """0 in margins, whose pseudo labels do not count, else 1; (N, H, W), float; None for 1."""
        if 'label_mask' not in self.samples[0]:
            return None
        return torch.cat([sample.label_mask.data for sample in self.samples]).to(self.images)


@dataclass(frozen=True)
class DomainBatch:
    """A training batch of each domain; None for the target if a method does not read it."""

    source: ImageBatch
    target: ImageBatch = None  # type: ignore[assignment]

    @classmethod
    def collect(
        cls, inputs: dict[str, Tensor], data_samples: dict[str, list[SegDataSample]]
    ) -> DomainBatch:
        """Collect the output of a :class:`UDADataPreprocessor`, dictionaries by domain."""
        return cls(
            **{domain: ImageBatch(inputs[domain], data_samples[domain]) for domain in inputs}
        )

    def __iter__(self) -> Iterator[tuple[str, ImageBatch]]:
        yield 'source', self.source
        yield 'target', self.target


@dataclass(frozen=True)
class SegOutput:
    """Output of one student pass.

    Args:
        features: Output of the backbone (and neck), the decode head's input.
        seg_logits: Output of the decode head, shape (N, C, h, w).
        domain: ``'source'``, ``'target'``, or the name of another pass, such as ``'mix'``.
        raw_logits: Logits before the decode head's own upsampling (FCN-8s), shape (N, C, h', w');
            for every other head the same tensor as ``seg_logits``.
        batch: The images of the pass, with their labels; None outside of training by a method.
    """

    features: tuple[Tensor, ...]
    seg_logits: Tensor
    domain: str
    raw_logits: Tensor
    batch: ImageBatch | MixedBatch | None = None

    def detach(self) -> SegOutput:
        """Return the logits without their graph and without the features."""
        return replace(
            self,
            features=(),
            seg_logits=self.seg_logits.detach(),
            raw_logits=self.raw_logits.detach(),
        )


@dataclass(frozen=True)
class TeacherPrediction:
    """Prediction of a teacher on target images, at the size of the images and without a graph.

    Args:
        probabilities: Shape (N, C, H, W), in [0, 1].
        label: The most probable class, shape (N, H, W), int64.
        confidence: Its probability, shape (N, H, W), in [0, 1].
        significance: Weight of each pixel in the consistency loss, shape (N, H, W), in [0, 1];
            None for 1 everywhere.
        label_mask: 0 for labels that weigh nothing, else 1, shape (N, H, W); None for 1 everywhere.
    """

    probabilities: Tensor
    label: Tensor
    confidence: Tensor
    significance: Tensor | None = None
    label_mask: Tensor | None = None


@dataclass(frozen=True)
class MixedBatch:
    """Images with labels of which some are the teacher's; parts may come from the source.

    Args:
        images: Normalised, shape (N, 3, H, W).
        labels: Ground truth where the source was pasted, else the teacher's; shape (N, H, W).
        pixel_weight: Weight of each label, shape (N, H, W); 1 for ground truth.
        significance: As in :class:`TeacherPrediction`; 1 for ground truth; None for 1 everywhere.
        mask: 1 for pixels of the source, 0 for those of the target; shape (N, 1, H, W).
        probabilities: The teacher's softmax of the target images, unmixed, shape (N, C, H, W).
    """

    images: Tensor
    labels: Tensor
    pixel_weight: Tensor
    significance: Tensor | None
    mask: Tensor
    probabilities: Tensor
