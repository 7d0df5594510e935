"""What PIT adds to the pixels' cross entropy."""

from __future__ import annotations

from typing import Callable, Sequence

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.layers.lse_pooling import pool_upsampled
from mmseg_uda.models.losses.divisor import divide
from mmseg_uda.structures import DOMAINS

__all__ = ['ImageLabelLoss', 'ReconstructionLoss']

REDUCTIONS = ('mean', 'sum')


@MODELS.register_module()
class ImageLabelLoss(nn.Module):
    r"""Binary cross entropy of image-level scores with soft labels (PIT's L_c).

    .. math:: L_c = -\frac{1}{N} \sum_{n,k} \frac{1}{C} \sum_c
        y(c) \log \sigma(s^k(c)) + (1 - y(c)) \log (1 - \sigma(s^k(c)))

    The paper prints the sum over classes, and no second term, without which all scores would grow
    for ever. An image whose label is 0 for all classes has none, and does not count. With several
    processes the mean is over the images of all (see :func:`divide`).

    Args:
        reduction: Over classes, ``'mean'`` or the printed ``'sum'``.
        loss_weight: lambda_c.
        loss_name: Key in the log; must contain ``loss``.
    """

    def __init__(
        self, reduction: str = 'mean', loss_weight: float = 0.5, loss_name: str = 'loss_image'
    ) -> None:
        super().__init__()
        _check(self, reduction, loss_name)
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, scores: Tensor, image_labels: Tensor) -> Tensor:
        """The weighted loss.

        Args:
            scores: Pooled maps of K units, shape (K, N, C).
            image_labels: Shape (N, C), in [0, 1].
        """
        labelled = image_labels.amax(1).gt(0)
        terms = F.binary_cross_entropy_with_logits(
            scores.float(), image_labels.float().expand_as(scores), reduction='none'
        ).sum(0)
        terms = terms.mean(1) if self.reduction == 'mean' else terms.sum(1)
        return self.loss_weight * divide((terms * labelled).sum(), labelled.sum())


@MODELS.register_module()
class ReconstructionLoss(nn.Module):
    r"""Squared distance of two class activation maps (PIT's L_r).

    .. math:: L_r = \frac{1}{NCHW} \sum \left\| \sum_k w^k S^k - S \right\|^2

    The paper prints the sum over classes and pixels, some 10^7 times the mean.

    Args:
        reduction: Over classes and pixels, ``'mean'`` or the printed ``'sum'``; images are
            averaged in either case.
        domains: Whose images it looks at; Table 3 leaves the source out.
        loss_weight: lambda_r.
        loss_name: Key in the log; must contain ``loss``.
    """

    def __init__(
        self,
        reduction: str = 'mean',
        domains: Sequence[str] = DOMAINS,
        loss_weight: float = 0.5,
        loss_name: str = 'loss_reconstruction',
    ) -> None:
        super().__init__()
        _check(self, reduction, loss_name)
        if not domains or not set(domains) <= set(DOMAINS):
            raise ValueError(
                f'ReconstructionLoss.domains got {domains!r}; write one or both of '
                f'{DOMAINS}, or loss_reconstruction=None for no such loss'
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
        """The weighted loss.

        Args:
            residual: Difference of the maps before upsampling, shape (N, C, h, w).
            upsample: Takes it to (N, C, H, W); linear, and each class on its own.
            pixels: H times W.
            chunk_elements: As for :func:`pool_upsampled`.
        """
        squares = pool_upsampled(residual, upsample, _mean_square, pixels, chunk_elements)
        if self.reduction == 'sum':
            return self.loss_weight * pixels * squares.sum(1).mean()
        return self.loss_weight * squares.mean()


def _mean_square(maps: Tensor) -> Tensor:
    return maps.square().mean((2, 3))


def _check(loss: nn.Module, reduction: str, loss_name: str) -> None:
    name = type(loss).__name__
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}.reduction got {reduction!r}; write 'mean' or 'sum'")
    if 'loss' not in loss_name:
        raise ValueError(
            f'{name}.loss_name got {loss_name!r}; write a name with `loss` in it, or '
            'it will not be trained'
        )
