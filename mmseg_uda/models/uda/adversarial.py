"""AdaptSegNet and AdvEnt: adversarial alignment of the output space, at one level or several."""

from __future__ import annotations

from typing import Any, Iterator

from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from mmseg_uda.models.losses import self_information
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.models.uda.student import check_auxiliary_weight, level_logits, level_weights
from mmseg_uda.structures import DomainBatch, Losses
from mmseg_uda.utils.arguments import check_choice

__all__ = ['Adversarial']


@MODELS.register_module()
class Adversarial(BaseUDASegmentor):
    """Learning to Adapt Structured Output Space for Semantic Segmentation (AdaptSegNet; CVPR 2018),
    `arXiv:1802.10349 <https://arxiv.org/abs/1802.10349>`_, and AdvEnt of ADVENT: Adversarial
    Entropy Minimization for Domain Adaptation in Semantic Segmentation (CVPR 2019),
    `arXiv:1811.12833 <https://arxiv.org/abs/1811.12833>`_. Equation numbers are AdaptSegNet's.

    Target pseudo labels, where there are any, are learnt too.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`.
        align: Maps that the discriminators compare: ``'probability'`` (AdaptSegNet) or
            ``'self_information'`` (AdvEnt).
        auxiliary_weight: Weight of an auxiliary head's adversarial loss as a multiple of the decode
            head's (0.2 in both papers: 0.0002 and 0.001); each head then has a discriminator of its
            own. None for the decode head alone.
        kwargs: As for :class:`BaseUDASegmentor`; ``discriminator`` and ``adversarial_loss``
            (``mode`` chooses BCE or least squares) are required.

    Raises:
        ValueError: An argument is unknown, or there are no auxiliary heads to weight.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        align: str = 'probability',
        auxiliary_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice(f'{type(self).__name__}.align', align, ('probability', 'self_information'))
        check_auxiliary_weight(type(self).__name__, auxiliary_weight)
        self.align = align
        self.auxiliary_weight = auxiliary_weight  # the base reads `views`
        super().__init__(segmentor, **kwargs)

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the adversarial losses, by view."""
        return level_weights(type(self).__name__, self.student, self.auxiliary_weight)

    @property
    def views(self) -> tuple[str, ...]:
        """``main``, and ``aux_{i}`` for each weighted auxiliary head."""
        return tuple(self.weights)

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Eq. (1)-(5): segmentation, adversarial, discriminators."""
        source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        yield self.supervised_losses(source, batch.source.labels)
        levels = level_logits(self.student, source, self.views)
        source_logits = {view: logits.detach() for view, logits in levels.items()}
        del source, levels  # the next pass needs the memory of the features

        target = self.segment(batch.target, 'target')
        target_maps = {
            view: self.aligned(logits, batch.target.images)  # (N, C, H, W)
            for view, logits in level_logits(self.student, target, self.views).items()
        }
        losses: Losses = {}
        for view, weight in self.weights.items():
            for key, loss in self.generator_losses(view, target_maps[view]).items():
                losses[key] = weight * loss
        if batch.target.has_pseudo_labels:
            losses.update(self.supervised_losses(target, batch.target.labels))
        yield losses
        target_maps = {view: maps.detach() for view, maps in target_maps.items()}
        del target, losses

        for view in self.views:
            source_maps = self.aligned(source_logits.pop(view), batch.source.images)
            yield self.discriminator_losses(view, source_maps, target_maps.pop(view))

    def aligned(self, seg_logits: Tensor, images: Tensor) -> Tensor:
        """Compute a discriminator's input, at the size of the images: (N, C, H, W), in [0, 1]."""
        prob = self.probabilities(seg_logits, images)
        return self_information(prob) if self.align == 'self_information' else prob
