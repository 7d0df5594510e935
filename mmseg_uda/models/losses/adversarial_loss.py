"""The two sides of the domain game."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

__all__ = ['SOURCE_LABEL', 'TARGET_LABEL', 'AdversarialLoss']

SOURCE_LABEL, TARGET_LABEL = 0.0, 1.0


@MODELS.register_module()
class AdversarialLoss(nn.Module):
    """Domain labels 0 = source, 1 = target; means over the score map.

    Args:
        mode: ``'bce'`` (on logits) or ``'least_squares'``.
        loss_weight: Weight of the segmentor's side, lambda_adv; 0.001 in AdaptSegNet and BDL.
        disc_weight: Weight of each of the discriminator's two terms; 0.5 in AdaptSegNet.
    """

    _modes = ('bce', 'least_squares')

    def __init__(
        self, mode: str = 'bce', loss_weight: float = 1e-3, disc_weight: float = 0.5
    ) -> None:
        super().__init__()
        if mode not in self._modes:
            raise ValueError(f'AdversarialLoss.mode got {mode!r}; write one of {self._modes}')
        self.mode = mode
        self.loss_weight = loss_weight
        self.disc_weight = disc_weight

    @property
    def boundary(self) -> float:
        """The score that speaks for neither domain; a higher one says target."""
        return 0.0 if self.mode == 'bce' else 0.5

    def _distance(self, score: Tensor, label: float, weight: Tensor | None = None) -> Tensor:
        goal = torch.full_like(score, label)
        if self.mode == 'bce':
            return F.binary_cross_entropy_with_logits(score, goal, weight)
        if weight is None:
            return F.mse_loss(score, goal)
        return (weight * (score - goal).square()).mean()

    def fool(self, target_score: Tensor, weight: Tensor | None = None) -> Tensor:
        """The segmentor's side: make the target's maps look like the source's.

        Args:
            target_score: The discriminator's scores, shape (N, 1, h, w).
            weight: Weight of each position, shape (N, 1, H, W) of any resolution; None for 1.
        """
        if weight is not None:
            weight = F.interpolate(
                weight, size=target_score.shape[2:], mode='bilinear', align_corners=False
            )
        return self.loss_weight * self._distance(target_score, SOURCE_LABEL, weight)

    def discriminate(self, source_score: Tensor, target_score: Tensor) -> Tensor:
        """The discriminator's side: tell the domains apart."""
        return self.disc_weight * (
            self._distance(source_score, SOURCE_LABEL) + self._distance(target_score, TARGET_LABEL)
        )
