"""AdaptSegNet, single level: adversarial alignment of the output space."""

from __future__ import annotations

from typing import Iterator

from mmseg.registry import MODELS

from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, Losses

__all__ = ['Adversarial']


@MODELS.register_module()
class Adversarial(BaseUDASegmentor):
    """Learning to Adapt Structured Output Space for Semantic Segmentation (CVPR 2018),
    `arXiv:1802.10349 <https://arxiv.org/abs/1802.10349>`_. Equation numbers refer to it.

    Takes the arguments of :class:`BaseUDASegmentor`; ``discriminator`` and ``adversarial_loss``
    (``mode`` chooses BCE or least squares) are required. Target pseudo labels, where there are any,
    are learnt too.
    """

    views = ('main',)

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Eq. (1)-(4): segmentation, adversarial, discriminator."""
        source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        yield self.supervised_losses(source, batch.source.labels)
        source = source.detach()  # the next pass needs the memory of its features

        target = self.segment(batch.target, 'target')
        target_prob = self.probabilities(target.seg_logits, batch.target.images)  # (N, C, H, W)
        losses = self.generator_losses('main', target_prob)
        if batch.target.has_pseudo_labels:
            losses.update(self.supervised_losses(target, batch.target.labels))
        yield losses

        source_prob = self.probabilities(source.seg_logits, batch.source.images)
        yield self.discriminator_losses('main', source_prob, target_prob)
