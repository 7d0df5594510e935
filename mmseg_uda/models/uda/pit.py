"""PIT: labels of whole images as the pivot between the domains."""

from __future__ import annotations

from typing import Any, Iterator

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.models.decode_heads import LSEExpansionHead
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, ImageBatch, Losses, SegOutput

__all__ = ['PIT']

SHOWN_CLASSES = 2


@MODELS.register_module()
class PIT(BaseUDASegmentor):
    """Cross-Domain Semantic Segmentation via Domain-Invariant Interactive Relation Transfer (PIT;
    CVPR 2020, `open access <https://openaccess.thecvf.com/content_CVPR_2020/html/\
Lv_Cross-Domain_Semantic_Segmentation_via_Domain-Invariant_Interactive_Relation_Transfer_CVPR_2020\
_paper.html>`_). Section and equation numbers refer to it.

    The units, their weights w, and lambda_c and lambda_r are the student's
    :class:`LSEExpansionHead`, with ``loss_reconstruction``. Labels of whole target images come from
    files (``LoadImageLabels``): shares of classes that ``tools/train_image_labels.py`` predicts, or
    given presence of classes (weak supervision, Section 5.5; then the head's
    ``image_label='presence'``). Nothing is detached.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`; among its ``auxiliary_head`` is one
            ``LSEExpansionHead``, of which nothing is left in tests.
        kwargs: As for :class:`BaseUDASegmentor`.
    """

    def __init__(self, segmentor: ConfigType, **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        found = self._expansions()
        if len(found) != 1:
            raise TypeError(
                f'PIT.segmentor.auxiliary_head got {len(found)} expansion heads; write '
                "one: dict(type='LSEExpansionHead', unit=<config of decode_head>, "
                'loss_reconstruction=dict())'
            )
        if found[0].num_classes != self.num_classes:
            raise ValueError(
                f'PIT.segmentor.auxiliary_head.unit.num_classes got '
                f'{found[0].num_classes}; write {self.num_classes}, as decode_head'
            )
        found[0].method_trains = True

    @property
    def expansion(self) -> LSEExpansionHead:
        """The region expansion units."""
        return self._expansions()[0]

    def _expansions(self) -> list[LSEExpansionHead]:
        heads = getattr(self.student, 'auxiliary_head', None)
        return [
            head
            for head in (heads if isinstance(heads, nn.ModuleList) else [heads])
            if isinstance(head, LSEExpansionHead)
        ]

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """L = L_f + lambda_c L_c + lambda_r L_r, domain by domain."""
        if not batch.target.has_image_labels:
            raise ValueError(
                'PIT got target images without image-level labels; write '
                "dict(type='LoadImageLabels', label_file=...) into "
                'train_dataloader.target.dataset.pipeline'
            )
        for domain, images in batch:
            output = self.segment(images, domain)
            losses: Losses = {}
            if domain == 'source' or images.has_pseudo_labels:
                losses.update(self.supervised(output, images.labels))  # L_f
            losses.update(self.interaction(output, images))  # L_c, L_r
            del output
            yield losses
            del losses

    def interaction(self, output: SegOutput, images: ImageBatch) -> Losses:
        """L_c and L_r of one domain."""
        maps, size = self.expansion(output.features), images.images.shape[2:]
        if output.domain == 'source':
            losses = self.expansion.image_loss(maps, images.labels)
        else:
            labels = images.image_labels
            if labels.shape[1] != self.num_classes:
                raise ValueError(
                    f'PIT got image-level labels of {labels.shape[1]} classes, but '
                    f'the student predicts {self.num_classes}; write the label_file '
                    'that was made with this data set'
                )
            losses = self.expansion.image_label_loss(maps, labels, size)
        losses.update(
            self.expansion.reconstruction_loss(maps, output, self.student.decode_head, size)
        )
        return {f'{output.domain}.expansion.{key}': value for key, value in losses.items()}

    @torch.no_grad()
    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """The units' class activation maps on the target image (Figure 3).

        Returns:
            By caption, shape (h, w), for each of the largest classes by the image-level label: S^k
            of every unit, and S; empty without such a label.
        """
        if not batch.target.has_image_labels:
            return {}
        features = self.student.extract_feat(batch.target.images[:1])
        maps = self.expansion(features)
        fine = self.student.decode_head.forward(features)
        shown: dict[str, Tensor] = {}
        for index in batch.target.image_labels[0].topk(min(SHOWN_CLASSES, self.num_classes))[1]:
            for r, scores in zip(self.expansion.r, maps.scores):
                shown[f'class {int(index)}: unit r={r:g}'] = maps.upsample(scores)[0, index]
            shown[f'class {int(index)}: fine'] = fine[0, index]
        return shown
