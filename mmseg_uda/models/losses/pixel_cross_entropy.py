"""Cross entropy over pixels, without host synchronisation."""

from __future__ import annotations

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.losses.divisor import divide
from mmseg_uda.utils.arguments import check_loss_name, check_number

__all__ = ['PixelCrossEntropyLoss', 'pixel_cross_entropy']


def pixel_cross_entropy(
    seg_logits: Tensor, labels: Tensor, weight: Tensor | None = None, ignore_index: int = 255
) -> Tensor:
    """Mean cross entropy over the pixels that are not ignored; 0 where all of them are.

    With several processes the mean is over the pixels of all (see :func:`divide`).

    Args:
        seg_logits: Shape (N, C, H, W).
        labels: Shape (N, H, W), int64.
        weight: Pixel weights, shape (N, H, W), in [0, inf); they scale the terms and not the
            divisor.
        ignore_index: Label of the pixels to leave out.

    Returns:
        A scalar in fp32.

    Examples:
        >>> import torch
        >>> logits = torch.zeros(1, 2, 1, 3)
        >>> labels = torch.tensor([[[0, 1, 255]]])
        >>> pixel_cross_entropy(logits, labels)  # log 2
        tensor(0.6931)
        >>> pixel_cross_entropy(logits, labels, torch.tensor([[[1.0, 0.0, 1.0]]]))
        tensor(0.3466)
    """
    count = (labels != ignore_index).sum()
    reduction = 'sum' if weight is None else 'none'
    terms = F.cross_entropy(
        seg_logits.float(), labels, ignore_index=ignore_index, reduction=reduction
    )  # a scalar without weights, else (N, H, W)
    return divide(terms if weight is None else (terms * weight).sum(), count)


@MODELS.register_module()
class PixelCrossEntropyLoss(nn.Module):
    """A ``loss_decode`` for any mmseg decode head: cross entropy, averaged over valid pixels.

    Unlike the stock loss with ``avg_non_ignore`` it counts valid pixels on the device, so that an
    iteration never waits for it, and it is 0 rather than NaN where all pixels are ignored.

    Args:
        loss_weight: Weight of the loss.
        loss_name: Name in the log; must contain ``loss``.

    Raises:
        ValueError: ``loss_name`` does not contain ``loss``.

    Examples:
        >>> import torch
        >>> loss = PixelCrossEntropyLoss(loss_weight=2.0)
        >>> loss(torch.zeros(1, 2, 4, 8), torch.zeros(1, 4, 8, dtype=torch.int64))  # 2 log 2
        tensor(1.3863)
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_ce') -> None:
        super().__init__()
        check_loss_name(self, loss_name)
        check_number(f'{type(self).__name__}.loss_weight', loss_weight, '[0, inf)')
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        seg_logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Compute the weighted loss; arguments are those of :func:`pixel_cross_entropy`."""
        return self.loss_weight * pixel_cross_entropy(seg_logits, labels, weight, ignore_index)
