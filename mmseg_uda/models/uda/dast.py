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

    The discoverer D discriminates features f; its scores weight the badly aligned ones
    (:class:`DiscriminatorAttention`). The corrector C discriminates predictions. With pseudo labels
    in the target's batch it is a round of self-training, without them the first stage.

    Args:
        segmentor: An ``AttendedSegmentor``; its ``attention.discriminator`` is D.
        reweight_corrector: True to weight C's scores by 1 + attention, too (the text says so; it
            gives no formula, and the published code leaves it out). The weight carries no gradient.
        kwargs: As for :class:`BaseUDASegmentor`. ``discriminator`` is C; ``adversarial_loss``
            serves both: least squares, 0.01, and 1 for each of the discriminator's terms.

    Raises:
        TypeError: The segmentor has no attention.
    """

    views = ('corrector',)

    def __init__(
        self, segmentor: ConfigType, *, reweight_corrector: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.reweight_corrector = reweight_corrector
        if not isinstance(getattr(self.student, 'attention', None), DiscriminatorAttention):
            raise TypeError(
                'DAST.segmentor: expected an AttendedSegmentor, but got '
                f"{type(self.student).__name__}; write dict(type='AttendedSegmentor', "
                "segmentor_type='EncoderDecoder', attention=dict(type='DiscriminatorAttention', "
                '...), ...)'
            )
        self.student.attention.knows_domains = True  # its discriminator is trained here

    def get_discriminator(self, name: str) -> Any:
        """Return the corrector, or the discoverer: inference needs it, as a part of the student."""
        if name == 'discoverer':
            return self.student.attention.discriminator
        return super().get_discriminator(name)

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """L_seg, the adversarial losses, and the discriminators' own L^D and L^C."""
        attention: DiscriminatorAttention = self.student.attention
        with attention.record() as of_source:
            source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        yield self.supervised_losses(source, batch.source.labels)
        source = source.detach()  # the next pass needs the memory of its features

        with attention.record() as of_target:
            target = self.segment(batch.target, 'target')
        target_prob = self.probabilities(target.seg_logits, batch.target.images)  # (N, C, H, W)
        score = of_target.score  # D(f), (N, 1, h', w')
        weight = 1 + attention.weight(score.detach()) if self.reweight_corrector else None
        losses = self.generator_losses('corrector', target_prob, weight)
        losses['adv.loss_discoverer'] = self.adversarial_loss.generator_loss(score.float())
        if batch.target.has_pseudo_labels:
            losses.update(self.supervised_losses(target, batch.target.labels))
        yield losses

        yield self.discriminator_losses('discoverer', of_source.features, of_target.features)
        source_prob = self.probabilities(source.seg_logits, batch.source.images)
        yield self.discriminator_losses('corrector', source_prob, target_prob)

    @torch.no_grad()
    def visualize(self, batch: DomainBatch) -> dict[str, Tensor]:
        """Compute the attention on the target image (Figure 3).

        Returns:
            ``attention``: shape (h, w).
        """
        attention = self.student.attention
        return dict(attention=attention.attention_map(self.student, batch.target.images)[0])
