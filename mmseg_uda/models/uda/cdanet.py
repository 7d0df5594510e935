"""CDANet: cross-domain attention between a source and a target image."""

from __future__ import annotations

from typing import Iterator

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_uda.models.contexts import batch_norms
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, Losses, SegOutput

__all__ = ['CDANet']


@MODELS.register_module()
class CDANet(BaseUDASegmentor):
    """Context-Aware Domain Adaptation in Semantic Segmentation (CDANet; WACV 2021),
    `arXiv:2003.04010 <https://arxiv.org/abs/2003.04010>`_. Equation numbers refer to it.

    The attention is the student's :class:`CrossDomainAttentionHead`; every loss reaches the
    features of both images, hence one joint pass.

    Takes the arguments of :class:`BaseUDASegmentor`; the decode head of ``segmentor`` must be a
    ``CrossDomainAttentionHead``, ``discriminator`` and ``adversarial_loss`` are required.
    """

    @property
    def views(self) -> tuple[str, ...]:
        """Z, A' and B', with the discriminators D1, D2 and D3."""
        if not hasattr(self.decode_head, 'forward_pair'):
            raise TypeError(
                'CDANet.segmentor.decode_head: expected a CrossDomainAttentionHead, but got '
                f"{type(self.decode_head).__name__}; write dict(type='CrossDomainAttentionHead', "
                'classifier=dict(...))'
            )
        if self.norm_statistics == 'target' and batch_norms(self.decode_head):
            # They see both domains in one pass.
            raise ValueError(
                "CDANet.norm_statistics: expected 'both', as the decode head has batch norm, but "
                "got 'target'; or write another norm_cfg in its classifier"
            )
        return self.decode_head.views

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Eq. (9)-(13)."""
        source, target = self.segment_pair(batch)  # logits (N, C, h, w) by view
        target_prob = {
            view: self.probabilities(logits, batch.target.images) for view, logits in target.items()
        }  # (N, C, H, W)
        losses: Losses = {}
        for view in self.views:
            losses.update(self.decode_losses(source[view], batch.source.labels, f'source.{view}'))
            if batch.target.has_pseudo_labels:  # Eq. (9)
                losses.update(
                    self.decode_losses(target[view], batch.target.labels, f'target.{view}')
                )
            losses.update(self.generator_losses(view, target_prob[view]))  # Eq. (10)-(12)
        yield losses

        for view in self.views:  # Eq. (10)-(12)
            source_prob = self.probabilities(source[view].detach(), batch.source.images)
            yield self.discriminator_losses(view, source_prob, target_prob[view])

    def segment_pair(self, batch: DomainBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute logits of both domains by view, after cross-domain attention; eq. (1)-(8)."""
        features = {}
        for domain, images in batch:
            with self.domain_pass(domain):
                features[domain] = self.student.extract_feat(images.images)
        source, target = self.decode_head.forward_pair(features['source'], features['target'])
        for (domain, images), logits in zip(batch, (source['main'], target['main'])):
            self.record(SegOutput(features[domain], logits, domain, logits, images))
        return source, target

    @torch.no_grad()
    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """Compute the attention of the target's central position to the source (Figure 6).

        Returns:
            ``attention, x uniform``: shape (h, w), of mean 1, for the first pair of the batch;
            empty without CD-SAM.
        """
        if self.decode_head.spatial is None:
            return {}
        source = self.student.extract_feat(batch.source.images[:1])
        target = self.student.extract_feat(batch.target.images[:1])
        height, width = target[self.decode_head.in_index].shape[2:]
        center = torch.tensor([height // 2 * width + width // 2], device=batch.target.images.device)
        attention = self.decode_head.attention_maps(source, target, center)[0, 0]  # (h, w), sum 1
        return {'attention, x uniform': attention * attention.numel()}
