"""DAST: discriminator attention and self-training."""

from __future__ import annotations

from typing import Any, Iterator

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from mmseg_uda.models.layers.discriminator_attention import DiscriminatorAttention
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, Losses

__all__ = ['DAST']


@MODELS.register_module()
class DAST(BaseUDASegmentor):
    """DAST: Unsupervised Domain Adaptation in Semantic Segmentation Based on Discriminator
    Attention and Self-Training (AAAI 2021).

    The discoverer D looks at features f, and its confidence makes the badly aligned ones count
    more (:class:`DiscriminatorAttention`); the corrector C looks at predictions. With pseudo
    labels in the target's batch it is a round of self-training, without them the first stage.

    Args:
        segmentor: An ``AttendedSegmentor``; its ``attention.discriminator`` is D.
        reweight_corrector: Weigh C's verdicts by 1 + attention, too (the text says so; it gives no
            formula, and the published code leaves it out). The weight carries no gradient.
        kwargs: As for :class:`BaseUDASegmentor`. ``discriminator`` is C; ``adversarial_loss``
            serves both: least squares, 0.01, and 1 for each of the discriminator's terms.
    """

    views = ('corrector',)

    def __init__(
        self, segmentor: ConfigType, *, reweight_corrector: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.reweight_corrector = reweight_corrector
        if not isinstance(getattr(self.student, 'attention', None), DiscriminatorAttention):
            raise TypeError(
                f'DAST.segmentor got {type(self.student).__name__} without attention; '
                "write dict(type='AttendedSegmentor', segmentor_type='EncoderDecoder', "
                "attention=dict(type='DiscriminatorAttention', ...), ...)"
            )

    def adversary(self, name: str) -> Any:
        """The corrector, or the discoverer, which is part of the student: tests need it."""
        if name == 'discoverer':
            return self.student.attention.discriminator
        return super().adversary(name)

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """L_seg, what the target's pass is to achieve, and the discriminators' own L^D and L^C."""
        attention: DiscriminatorAttention = self.student.attention
        with attention.watch() as source_seen:
            source = self.segment(batch.source, 'source')
        source_prob = self.probabilities(source.seg_logits.detach(), batch.source.images)
        yield self.supervised(source, batch.source.labels)
        del source

        with attention.watch() as seen:
            target = self.segment(batch.target, 'target')
        target_prob = self.probabilities(target.seg_logits, batch.target.images)
        weight = 1 + attention.weight(seen.score.detach()) if self.reweight_corrector else None
        losses = self.fool('corrector', target_prob, weight)
        losses['adv.loss_discoverer'] = self.adversarial_loss.fool(seen.score.float())
        if batch.target.has_pseudo_labels:
            losses.update(self.supervised(target, batch.target.labels))
        del target, seen.score
        yield losses
        del losses

        yield self.discriminate('discoverer', source_seen.features, seen.features)
        yield self.discriminate('corrector', source_prob, target_prob)

    @torch.no_grad()
    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """The attention on the target image (Figure 3).

        Returns:
            ``attention``: shape (h, w).
        """
        attention = self.student.attention
        return dict(attention=attention.attention_map(self.student, batch.target.images)[0])
