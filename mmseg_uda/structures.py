"""Types and constants that signatures of the whole package use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Callable, Iterator, Sequence

import torch
from mmseg.structures import SegDataSample
from torch import Generator, Tensor

__all__ = [
    'DOMAINS',
    'IGNORE_INDEX',
    'NOWHERE',
    'OFFSET',
    'Crops',
    'Detail',
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
    def seeds(self) -> list[int]:
        """Seed of each image's random choices.

        A sample without one, which no :class:`UDATrainLoop` loaded, takes one of PyTorch's global
        generator.
        """
        seeds = [sample.metainfo.get('seed') for sample in self.samples]
        return [int(torch.randint(2**31, ())) if seed is None else seed for seed in seeds]

    @cached_property
    def generators(self) -> list[Generator]:
        """Random generator of each image, on the images' device.

        Whatever a method draws for an image comes from the image's own generator: N processes then
        draw the numbers that one process with the joint batch draws.
        """
        # The meta device, whose tensors hold no values, has no generators.
        device = 'cpu' if self.images.is_meta else self.images.device
        return [Generator(device).manual_seed(seed) for seed in self.seeds]

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
        """0 in margins and padding, where no label counts, else 1; (N, H, W), float; None for 1."""
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
class Crops:
    """One crop of each image of a batch, all of one size.

    Args:
        corners: Top row and left column of each, in pixels.
        size: Height and width, in pixels.

    Example:
        >>> crops = Crops([(0, 2)], (2, 2))
        >>> crops.cut(torch.arange(8).view(1, 2, 4))
        tensor([[[2, 3],
                 [6, 7]]])
    """

    corners: Sequence[tuple[int, int]]
    size: tuple[int, int]

    def scaled(self, divisor: int, factor: int = 1) -> Crops:
        """Return the crops on a grid of ``factor`` positions per ``divisor`` pixels."""
        corners = [
            (top // divisor * factor, left // divisor * factor) for top, left in self.corners
        ]
        height, width = (side // divisor * factor for side in self.size)
        return Crops(corners, (height, width))

    def cut(self, maps: Tensor) -> Tensor:
        """Cut the crops (N, ..., h, w) from maps (N, ..., H, W)."""
        return torch.stack([each[index] for each, index in zip(maps, self._indices())])

    def place(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Place crops (N, ..., h, w) in maps of zeros (N, ..., H, W) of a ``size`` (H, W)."""
        placed = maps.new_zeros(*maps.shape[:-2], *size)
        for i, index in enumerate(self._indices()):
            placed[i][index] = maps[i]
        return placed

    def restrict(self, maps: Tensor) -> Tensor:
        """Set maps (N, ..., H, W) to zero outside of the crops."""
        return self.place(self.cut(maps), maps.shape[-2:])

    def _indices(self) -> Iterator[tuple[Any, ...]]:
        height, width = self.size
        for top, left in self.corners:
            yield ..., slice(top, top + height), slice(left, left + width)


@dataclass(frozen=True)
class Detail:
    """Logits of one crop of each image, beside those of the whole images (HRDA).

    Args:
        seg_logits: Shape (N, C, h, w).
        crops: The crops.
        weight: Share of their loss in the loss of the pass, in [0, 1].
    """

    seg_logits: Tensor
    crops: Crops
    weight: float


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
        detail: Logits of crops, which learn the same labels; None if there are none.
    """

    features: tuple[Tensor, ...]
    seg_logits: Tensor
    domain: str
    raw_logits: Tensor
    batch: ImageBatch | MixedBatch | None = None
    detail: Detail | None = None

    def parts(self) -> Iterator[tuple[str, Tensor, float, Callable[[Tensor], Tensor]]]:
        """Yield all logits that learn labels.

        Yields:
            Name in the log, logits (N, C, h, w), weight of their loss, and a function that cuts
            maps (N, ..., H, W) of the pass to the part of the images that the logits show.
        """
        detail = self.detail
        yield 'decode', self.seg_logits, 1 - (detail.weight if detail else 0), lambda maps: maps
        if detail:
            yield 'detail', detail.seg_logits, detail.weight, detail.crops.cut

    def detach(self) -> SegOutput:
        """Return the logits without their graph and without the features."""
        return replace(
            self,
            features=(),
            seg_logits=self.seg_logits.detach(),
            raw_logits=self.raw_logits.detach(),
            detail=None,
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
        seeds: Seed of each image's random choices; None for PyTorch's global generator.
    """

    probabilities: Tensor
    label: Tensor
    confidence: Tensor
    significance: Tensor | None = None
    label_mask: Tensor | None = None
    seeds: Sequence[int] | None = None


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
        seeds: As in :class:`TeacherPrediction`.
    """

    images: Tensor
    labels: Tensor
    pixel_weight: Tensor
    significance: Tensor | None
    mask: Tensor
    probabilities: Tensor
    seeds: Sequence[int] | None = None

    def cut(self, cut: Callable[[Tensor], Tensor]) -> MixedBatch:
        """Cut parts of all maps (N, ..., H, W)."""
        maps = ('images', 'labels', 'pixel_weight', 'significance', 'mask', 'probabilities')
        parts: dict[str, Any] = {key: getattr(self, key) for key in maps}
        parts = {key: cut(each) for key, each in parts.items() if each is not None}
        return replace(self, **parts)
