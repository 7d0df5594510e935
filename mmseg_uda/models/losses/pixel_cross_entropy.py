"""Cross entropy over pixels, without host synchronisation."""

from __future__ import annotations

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.losses.divisor import divide

__all__ = ['PixelCrossEntropyLoss', 'pixel_cross_entropy']


def pixel_cross_entropy(
    seg_logits: Tensor, labels: Tensor, weight: Tensor | None = None, ignore_index: int = 255
) -> Tensor:
    """Mean cross entropy over the pixels that are not ignored; 0 where all of them are.

    With several processes the mean is over the pixels of all (see :func:`divide`).

    Args:
        seg_logits: Shape (N, C, H, W).
        labels: Shape (N, H, W), int64.
        weight: Pixel weights, shape (N, H, W), range [0, inf); they scale the terms and not the
            divisor.
        ignore_index: The label to leave out.

    Returns:
        A scalar in fp32.
    """
    count = (labels != ignore_index).sum()
    if weight is None:
        total = F.cross_entropy(
            seg_logits.float(), labels, ignore_index=ignore_index, reduction='sum'
        )
    else:
        losses = F.cross_entropy(
            seg_logits.float(), labels, ignore_index=ignore_index, reduction='none'
        )
        total = (losses * weight).sum()
    return divide(total, count)


@MODELS.register_module()
class PixelCrossEntropyLoss(nn.Module):
    """A ``loss_decode`` for any mmseg decode head: the mean over valid pixels of eq. CE.

    Unlike the stock loss with ``avg_non_ignore`` it counts valid pixels on the device, so that an
    iteration never waits for it, and it is 0 rather than NaN where all pixels are ignored.

    Args:
        loss_weight: Weight of the loss.
        loss_name: Key in the log; must contain ``loss``.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_ce') -> None:
        super().__init__()
        if 'loss' not in loss_name:
            raise ValueError(
                f'PixelCrossEntropyLoss.loss_name got {loss_name!r}; write a name '
                'with `loss` in it, or it will not be trained'
            )
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Key in the log."""
        return self._loss_name

    def forward(
        self,
        seg_logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """See :func:`pixel_cross_entropy`."""
        return self.loss_weight * pixel_cross_entropy(seg_logits, labels, weight, ignore_index)
