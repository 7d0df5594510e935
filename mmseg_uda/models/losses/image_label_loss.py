"""The losses of PIT beside the pixels' cross entropy."""

from __future__ import annotations

from typing import Callable, Sequence

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.layers.lse_pooling import pool_upsampled
from mmseg_uda.models.losses.divisor import divide
from mmseg_uda.structures import DOMAINS
from mmseg_uda.utils.arguments import check_choice, check_loss_name, check_number, expect

__all__ = ['ImageLabelLoss', 'ReconstructionLoss']

REDUCTIONS = ('mean', 'sum')


@MODELS.register_module()
class ImageLabelLoss(nn.Module):
    r"""Binary cross entropy of image-level scores with soft labels (PIT's L_c, Section 4.2).

    .. math:: L_c = -\frac{\lambda_c}{N} \sum_{n,k} \frac{1}{C} \sum_c
        y(c) \log \sigma(s^k(c)) + (1 - y(c)) \log (1 - \sigma(s^k(c)))

    The paper prints the sum over classes, and no second term, without which all scores would grow
    for ever. Images without a label (0 for all classes) do not count. With several processes the
    mean is over the images of all (see :func:`divide`).

    Args:
        reduction: Over classes, ``'mean'`` or the printed ``'sum'``.
        loss_weight: :math:`\lambda_c`.
        loss_name: Name in the log; must contain ``loss``.

    Raises:
        ValueError: ``reduction`` is unknown, or ``loss_name`` does not contain ``loss``.

    Examples:
        >>> import torch
        >>> scores = torch.zeros(3, 2, 4)  # three units, two images, four classes
        >>> ImageLabelLoss(loss_weight=1.0)(scores, torch.eye(4)[:2])  # 3 log 2
        tensor(2.0794)
    """

    def __init__(
        self, reduction: str = 'mean', loss_weight: float = 0.5, loss_name: str = 'loss_image'
    ) -> None:
        super().__init__()
        check_number(f'{type(self).__name__}.loss_weight', loss_weight, '[0, inf)')
        check_choice('ImageLabelLoss.reduction', reduction, REDUCTIONS)
        check_loss_name(self, loss_name)
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, scores: Tensor, image_labels: Tensor) -> Tensor:
        """Compute the weighted loss.

        Args:
            scores: Pooled maps s of K units, shape (K, N, C).
            image_labels: y, shape (N, C), in [0, 1].

        Returns:
            A scalar.
        """
        labelled = image_labels.amax(1).gt(0)  # (N,)
        terms = F.binary_cross_entropy_with_logits(
            scores.float(), image_labels.float().expand_as(scores), reduction='none'
        ).sum(0)  # (K, N, C) to (N, C)
        terms = terms.mean(1) if self.reduction == 'mean' else terms.sum(1)  # (N,)
        return self.loss_weight * divide((terms * labelled).sum(), labelled.sum())


@MODELS.register_module()
class ReconstructionLoss(nn.Module):
    r"""Squared distance of two class activation maps (PIT's L_r, Section 4.2).

    .. math:: L_r = \frac{\lambda_r}{NCHW} \sum \left\| \sum_k w^k S^k - S \right\|^2

    The paper prints the sum over classes and pixels, some 10^7 times the mean.

    Args:
        reduction: Over classes and pixels, ``'mean'`` or the printed ``'sum'``; images are
            averaged in either case.
        domains: Domains of the images that it is computed on; Table 3 leaves the source out.
        loss_weight: :math:`\lambda_r`.
        loss_name: Name in the log; must contain ``loss``.

    Raises:
        ValueError: ``reduction`` or a domain is unknown, or ``loss_name`` does not contain
            ``loss``.

    Examples:
        >>> import torch
        >>> residual = torch.full((2, 4, 3, 3), 2.0)
        >>> ReconstructionLoss()(residual, torch.nn.Upsample(scale_factor=2), pixels=36)
        tensor(2.)
    """

    def __init__(
        self,
        reduction: str = 'mean',
        domains: Sequence[str] = DOMAINS,
        loss_weight: float = 0.5,
        loss_name: str = 'loss_reconstruction',
    ) -> None:
        super().__init__()
        check_number(f'{type(self).__name__}.loss_weight', loss_weight, '[0, inf)')
        check_choice('ReconstructionLoss.reduction', reduction, REDUCTIONS)
        check_loss_name(self, loss_name)
        expect(
            bool(domains) and set(domains) <= set(DOMAINS),
            'ReconstructionLoss.domains',
            f'one or both of {DOMAINS}',
            domains,
        )
        self.reduction = reduction
        self.domains = tuple(domains)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        residual: Tensor,
        upsample: Callable[[Tensor], Tensor],
        pixels: int,
        chunk_elements: int = 2**25,
    ) -> Tensor:
        """Compute the weighted loss.

        Args:
            residual: Difference of the maps before upsampling, shape (N, C, h, w).
            upsample: Linear map to the shape (N, C, H, W), which treats each class on its own.
            pixels: H times W.
            chunk_elements: As for :func:`pool_upsampled`.

        Returns:
            A scalar.
        """
        squares = pool_upsampled(residual, upsample, _mean_square, pixels, chunk_elements)  # (N, C)
        if self.reduction == 'sum':
            return self.loss_weight * pixels * squares.sum(1).mean()
        return self.loss_weight * squares.mean()


def _mean_square(maps: Tensor) -> Tensor:
    return maps.square().mean((2, 3))
