"""MinEnt: entropy minimisation on the target."""

from __future__ import annotations

from typing import Any, Iterator

from mmseg.registry import MODELS
from mmseg.utils import ConfigType

from mmseg_uda.models.losses import entropy
from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.models.uda.student import check_auxiliary_weight, level_logits, level_weights
from mmseg_uda.structures import DomainBatch, Losses
from mmseg_uda.utils.arguments import check_number

__all__ = ['MinEnt']


@MODELS.register_module()
class MinEnt(BaseUDASegmentor):
    """MinEnt of ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic
    Segmentation (CVPR 2019), `arXiv:1811.12833 <https://arxiv.org/abs/1811.12833>`_.

    AdvEnt, of the same paper, is :class:`Adversarial` with ``align='self_information'``. Pseudo
    labels from files are not used.

    Args:
        segmentor: As for :class:`BaseUDASegmentor`.
        lambda_ent: Weight of the entropy, which is 1 for equally probable classes.
        auxiliary_weight: Weight of an auxiliary head's entropy as a multiple of the decode head's
            (0.2 in the published code: 0.0002 and 0.001); None for the decode head alone.
        kwargs: As for :class:`BaseUDASegmentor`.

    Raises:
        ValueError: A weight is negative, or there are no auxiliary heads to weight.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        *,
        lambda_ent: float = 1e-3,
        auxiliary_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_number(f'{name}.lambda_ent', lambda_ent, '[0, inf)')
        check_auxiliary_weight(name, auxiliary_weight)
        super().__init__(segmentor, **kwargs)
        self.lambda_ent = lambda_ent
        self.weights = level_weights(name, self.student, auxiliary_weight)

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """Segmentation on the source, entropy on the target."""
        source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        yield self.supervised_losses(source, batch.source.labels)
        del source  # the next pass needs the memory of its features

        target = self.segment(batch.target, 'target')
        yield {
            f'target.loss_entropy_{level}': self.lambda_ent
            * self.weights[level]
            * entropy(self.probabilities(logits, batch.target.images))
            for level, logits in level_logits(self.student, target, self.weights).items()
        }
