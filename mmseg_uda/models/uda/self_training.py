"""Training on source labels and on the target's pseudo labels."""

from __future__ import annotations

from typing import Iterator

from mmseg.registry import MODELS

from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, Losses

__all__ = ['SelfTraining']


@MODELS.register_module()
class SelfTraining(BaseUDASegmentor):
    """Self-training with pseudo labels from files ("pseudo-only" in tables of SAM).

    With a :class:`~mmseg_uda.models.losses.SelfAttentionLoss` among its ``regularizers`` it is
    stage B of SAM (*Exploiting Inter-pixel Correlations in Unsupervised Domain Adaptation for
    Semantic Segmentation*, `arXiv:2110.10916 <https://arxiv.org/abs/2110.10916>`_). Equation
    numbers refer to it. Takes the arguments of :class:`BaseUDASegmentor`.
    """

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Eq. (10), (11): each domain's cross entropy; regularisers add the other term."""
        if not batch.target.has_pseudo_labels:
            raise ValueError(
                'SelfTraining: expected target images with pseudo labels, but got none; write '
                "dict(type='LoadPseudoLabels', pseudo_dir=...) into "
                'train_dataloader.target.dataset.pipeline'
            )
        for domain, images in batch:
            yield self.supervised_losses(self.segment(images, domain), images.labels)  # (1), (3)
