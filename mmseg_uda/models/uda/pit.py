"""PIT: labels of whole images as the pivot between the domains."""

from __future__ import annotations

from typing import Any, Iterator

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from mmseg_uda.models.decode_heads import ActivationMaps, LSEExpansionHead
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.models.uda.student import all_auxiliary_heads
from mmseg_uda.structures import DomainBatch, ImageBatch, Losses, SegOutput

__all__ = ['PIT']

SHOWN_CLASSES = 2


@MODELS.register_module()
class PIT(BaseUDASegmentor):
    """Cross-Domain Semantic Segmentation via Domain-Invariant Interactive Relation Transfer (PIT;
    CVPR 2020, `open access <https://openaccess.thecvf.com/content_CVPR_2020/html/\
Lv_Cross-Domain_Semantic_Segmentation_via_Domain-Invariant_Interactive_Relation_Transfer_CVPR_2020\
_paper.html>`_). Section and equation numbers refer to it.

    The units, their weights w, and lambda_c and lambda_r belong to the student's
    :class:`LSEExpansionHead`, with ``loss_reconstruction``. Labels of whole target images come from
    files (``LoadImageLabels``): shares of classes that ``tools/train_image_labels.py`` predicts, or
    given presence of classes (weak supervision, Section 5.5; then the head's
    ``image_label='presence'``). Nothing is detached.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`; one of its ``auxiliary_head`` is an
            ``LSEExpansionHead``, which inference does not use.
        kwargs: As for :class:`BaseUDASegmentor`.

    Raises:
        TypeError: The segmentor has no expansion head, or several.
    """

    def __init__(self, segmentor: ConfigType, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        found = self._expansions()
        if len(found) != 1:
            raise TypeError(
                f'PIT.segmentor.auxiliary_head: expected one expansion head, but got {len(found)}; '
                "write dict(type='LSEExpansionHead', unit=<config of decode_head>, "
                'loss_reconstruction=dict())'
            )
        found[0].method_trains = True

    @property
    def expansion(self) -> LSEExpansionHead:
        """The region expansion units."""
        return self._expansions()[0]

    def _expansions(self) -> list[LSEExpansionHead]:
        heads = all_auxiliary_heads(self.student)
        return [head for head in heads if isinstance(head, LSEExpansionHead)]

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """L = L_f + lambda_c L_c + lambda_r L_r, domain by domain."""
        if not batch.target.has_image_labels:
            raise ValueError(
                'PIT: expected target images with image-level labels, but got none; write '
                "dict(type='LoadImageLabels', label_file=...) into "
                'train_dataloader.target.dataset.pipeline'
            )
        for domain, images in batch:
            output = self.segment(images, domain)  # S, (N, C, h, w)
            maps = self.expansion(output.features)  # S^k, (K, N, C, h, w)
            yield {
                **self.fine_losses(output, images),  # L_f
                **self.image_label_losses(maps, images, domain),  # lambda_c L_c
                **self.reconstruction_losses(maps, output, images),  # lambda_r L_r
            }
            del output, maps  # the next pass needs the memory of the features

    def fine_losses(self, output: SegOutput, images: ImageBatch) -> Losses:
        """Compute the cross entropy of pixels on the source, and on the target's pseudo labels."""
        if output.domain != 'source' and not images.has_pseudo_labels:
            return {}
        return self.supervised_losses(output, images.labels)

    def image_label_losses(self, maps: ActivationMaps, images: ImageBatch, domain: str) -> Losses:
        """Compute the image-level loss, on the source with labels counted in ground truth.

        Raises:
            ValueError: Image-level labels have another number of classes than the student.
        """
        if domain == 'source':
            losses = self.expansion.loss_by_pixel_labels(maps, images.labels)
        else:
            labels = images.image_labels  # (N, C)
            if labels.shape[1] != self.num_classes:
                raise ValueError(
                    f'PIT: expected image-level labels of {self.num_classes} classes, as the '
                    f'student predicts, but got {labels.shape[1]}; write the label_file that was '
                    'made with this dataset'
                )
            losses = self.expansion.loss_by_image_labels(maps, labels, images.images.shape[2:])
        return {f'{domain}.expansion.{key}': value for key, value in losses.items()}

    def reconstruction_losses(
        self, maps: ActivationMaps, output: SegOutput, images: ImageBatch
    ) -> Losses:
        """Compute the distance of the units' weighted sum from the fine map."""
        losses = self.expansion.reconstruction_loss(
            maps, output, self.student.decode_head, images.images.shape[2:]
        )
        return {f'{output.domain}.expansion.{key}': value for key, value in losses.items()}

    @torch.no_grad()
    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """Compute the units' class activation maps on the target image (Figure 3).

        Returns:
            By caption, shape (h, w), for each of the largest classes by the image-level label: S^k
            of every unit, and S; empty without such a label.
        """
        if not batch.target.has_image_labels:
            return {}
        labels = batch.target.image_labels[0]
        classes = labels.topk(min(SHOWN_CLASSES, self.num_classes))[1]
        return self.activation_maps(batch.target.images[:1], classes)

    @torch.no_grad()
    def activation_maps(self, images: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Compute S^k of every unit, and S, of some classes.

        Args:
            images: One normalised image, (1, 3, H, W).
            classes: Indices (N,).

        Returns:
            By caption, shape (h, w), class by class.
        """
        features = self.student.extract_feat(images)
        maps = self.expansion(features)
        fine = self.student.decode_head.forward(features)  # (1, C, h, w)
        shown: dict[str, Tensor] = {}
        for index in classes:
            for r, scores in zip(self.expansion.r, maps.scores):
                shown[f'class {int(index)}: unit r={r:g}'] = maps.upsample(scores)[0, index]
            shown[f'class {int(index)}: fine'] = fine[0, index]
        return shown
