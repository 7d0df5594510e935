"""Adversarial losses of the segmentor and of a domain discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = ['SOURCE_LABEL', 'TARGET_LABEL', 'AdversarialLoss']

SOURCE_LABEL, TARGET_LABEL = 0.0, 1.0


@MODELS.register_module()
class AdversarialLoss(nn.Module):
    r"""Adversarial loss on score maps, with the domain labels 0 = source and 1 = target.

    With the distance d of a score from a label, averaged over the score map,

    .. math::
        L_{adv} = \lambda_{adv}\, d(D(x_t), 0), \qquad
        L_D = \lambda_D \bigl(d(D(x_s), 0) + d(D(x_t), 1)\bigr).

    Args:
        mode: Distance d: ``'bce'``, binary cross entropy on logits (AdaptSegNet,
            `arXiv:1802.10349 <https://arxiv.org/abs/1802.10349>`_), or ``'least_squares'``.
        loss_weight: :math:`\lambda_{adv}`; 0.001 in AdaptSegNet and BDL.
        disc_weight: :math:`\lambda_D`, weight of each term; 0.5 in AdaptSegNet.

    Raises:
        ValueError: ``mode`` is unknown.

    Examples:
        >>> loss = AdversarialLoss('least_squares', loss_weight=1.0)
        >>> score = torch.full((2, 1, 4, 8), 0.25)
        >>> loss.generator_loss(score)
        tensor(0.0625)
        >>> loss.discriminator_loss(score, score)  # (0.0625 + 0.5625) / 2
        tensor(0.3125)
    """

    def __init__(
        self, mode: str = 'bce', loss_weight: float = 1e-3, disc_weight: float = 0.5
    ) -> None:
        super().__init__()
        check_choice('AdversarialLoss.mode', mode, ('bce', 'least_squares'))
        check_number(f'{type(self).__name__}.loss_weight', loss_weight, '[0, inf)')
        check_number(f'{type(self).__name__}.disc_weight', disc_weight, '[0, inf)')
        self.mode = mode
        self.loss_weight = loss_weight
        self.disc_weight = disc_weight

    @property
    def boundary(self) -> float:
        """Score at the same distance from both labels; higher scores mean target."""
        return 0.0 if self.mode == 'bce' else 0.5

    def generator_loss(
        self, target_score: Tensor, weight: Tensor | None = None, label: float = SOURCE_LABEL
    ) -> Tensor:
        """Compute the segmentor's loss, smallest where target scores are those of the source.

        Args:
            target_score: Discriminator output on the target domain, shape (N, 1, h, w).
            weight: Weight of each position, shape (N, 1, H, W) of any resolution; None for 1.
            label: The label that scores shall have.

        Returns:
            A scalar.
        """
        if weight is not None:
            weight = F.interpolate(
                weight, size=target_score.shape[2:], mode='bilinear', align_corners=False
            )  # (N, 1, h, w)
        return self.loss_weight * self._distance(target_score, label, weight)

    def discriminator_loss(self, source_score: Tensor, target_score: Tensor) -> Tensor:
        """Compute the discriminator's loss, smallest where its scores separate the domains.

        Args:
            source_score: Discriminator output on the source domain, shape (N, 1, h, w).
            target_score: The same on the target domain; its size may differ.

        Returns:
            A scalar.
        """
        return self.disc_weight * (
            self._distance(source_score, SOURCE_LABEL) + self._distance(target_score, TARGET_LABEL)
        )

    def _distance(self, score: Tensor, label: float, weight: Tensor | None = None) -> Tensor:
        goal = torch.full_like(score, label)
        if self.mode == 'bce':
            return F.binary_cross_entropy_with_logits(score, goal, weight)
        if weight is None:
            return F.mse_loss(score, goal)
        return (weight * (score - goal).square()).mean()
