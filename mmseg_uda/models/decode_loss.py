"""A decode head's losses, with pixel weights and without host synchronisation."""

from __future__ import annotations

from typing import Any

from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_uda.structures import Losses

__all__ = ['decode_loss', 'has_stock_loss', 'scale_losses']


def has_stock_loss(head: Any) -> bool:
    """Tell if a decode head has the ``loss_by_feat`` of mmseg's base class."""
    return type(head).loss_by_feat is BaseDecodeHead.loss_by_feat


def decode_loss(
    head: Any, seg_logits: Tensor, labels: Tensor, pixel_weight: Tensor | None = None
) -> Losses:
    """Compute the losses of ``head.loss_by_feat`` from labels as a tensor.

    Args:
        head: A mmseg decode head, any subclass of ``BaseDecodeHead``.
        seg_logits: Shape (N, C, h, w).
        labels: Shape (N, H, W), int64.
        pixel_weight: Shape (N, H, W), in [0, inf); None for 1.

    Returns:
        ``loss_*`` by name, and ``acc_seg`` in percent of the valid pixels.

    Raises:
        TypeError: There are pixel weights, but the head has a loss of its own.
    """
    if not has_stock_loss(head):
        if pixel_weight is not None:
            raise TypeError(
                f'{type(head).__name__}: expected the stock `loss_by_feat`, which takes pixel '
                'weights, but got a loss of its own; write another decode head'
            )
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        return head.loss_by_feat(seg_logits, samples)
    seg_logits = resize(
        seg_logits, size=labels.shape[1:], mode='bilinear', align_corners=head.align_corners
    )  # (N, C, H, W)
    if head.sampler is not None:
        sampled = head.sampler.sample(seg_logits, labels.unsqueeze(1))  # (N, H, W)
        pixel_weight = sampled if pixel_weight is None else sampled * pixel_weight
    several = isinstance(head.loss_decode, nn.ModuleList)
    losses: Losses = {}
    for loss in head.loss_decode if several else [head.loss_decode]:
        value = loss(seg_logits, labels, weight=pixel_weight, ignore_index=head.ignore_index)
        # As in mmseg, losses of one name are summed.
        name = loss.loss_name
        losses[name] = losses[name] + value if name in losses else value
    losses['acc_seg'] = _accuracy(seg_logits.detach(), labels, head.ignore_index)
    return losses


def _accuracy(seg_logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Percentage of valid pixels whose label has the largest logit (cheaper than an arg-max)."""
    valid = labels.ne(ignore_index)  # (N, H, W)
    # Ignored labels are clamped into the range of the classes; `valid` leaves them out.
    own = seg_logits.gather(1, labels.clamp(0, seg_logits.shape[1] - 1).unsqueeze(1)).squeeze(1)
    correct = own.ge(seg_logits.amax(1)) & valid
    return 100.0 * correct.sum() / valid.sum().clamp(min=1)


def scale_losses(losses: Losses, weight: float) -> Losses:
    """Weight losses, and leave diagnostics as they are."""
    if weight == 1:
        return losses
    return {key: value * weight if 'loss' in key else value for key, value in losses.items()}
