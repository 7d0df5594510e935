"""A decode head's losses, with pixel weights and without host synchronisation."""

from __future__ import annotations

from typing import Any

from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor, nn

__all__ = ['decode_loss']


def decode_loss(
    head: Any, seg_logits: Tensor, labels: Tensor, pixel_weight: Tensor | None = None
) -> dict[str, Tensor]:
    """The losses that ``head.loss_by_feat`` computes, from labels as a tensor.

    Args:
        head: A mmseg decode head, any subclass of ``BaseDecodeHead``.
        seg_logits: Shape (N, C, h, w).
        labels: Shape (N, H, W), int64.
        pixel_weight: Shape (N, H, W), or None for 1.

    Returns:
        ``loss_*`` by name, and ``acc_seg`` in percent of the valid pixels.

    Raises:
        TypeError: Pixel weights for a head with a loss of its own.
    """
    if type(head).loss_by_feat is not BaseDecodeHead.loss_by_feat:
        if pixel_weight is not None:
            raise TypeError(
                f'{type(head).__name__} computes its own loss and takes no pixel '
                'weights; write a decode head with the stock `loss_by_feat`'
            )
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        return head.loss_by_feat(seg_logits, samples)
    seg_logits = resize(
        seg_logits, size=labels.shape[1:], mode='bilinear', align_corners=head.align_corners
    )
    if head.sampler is not None:
        sampled = head.sampler.sample(seg_logits, labels.unsqueeze(1))
        pixel_weight = sampled if pixel_weight is None else sampled * pixel_weight
    loss_modules = head.loss_decode
    if not isinstance(loss_modules, nn.ModuleList):
        loss_modules = [loss_modules]
    losses: dict[str, Tensor] = {}
    for loss in loss_modules:
        value = loss(seg_logits, labels, weight=pixel_weight, ignore_index=head.ignore_index)
        losses[loss.loss_name] = (
            losses[loss.loss_name] + value if loss.loss_name in losses else value
        )
    losses['acc_seg'] = _accuracy(seg_logits.detach(), labels, head.ignore_index)
    return losses


def _accuracy(seg_logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Percent of the valid pixels whose label has the largest logit (cheaper than an arg-max)."""
    valid = labels.ne(ignore_index)
    own = seg_logits.gather(1, labels.clamp(max=seg_logits.shape[1] - 1).unsqueeze(1)).squeeze(1)
    right = own.ge(seg_logits.amax(1)) & valid
    return 100.0 * right.sum() / valid.sum().clamp(min=1)
