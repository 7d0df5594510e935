"""One pass of a student, as methods train on it."""

from __future__ import annotations

from typing import Any

from mmseg_uda.models.decode_heads.wrapping_head import raw_logits
from mmseg_uda.models.layers.detail_crops import draw_crops
from mmseg_uda.structures import Detail, ImageBatch, MixedBatch, SegOutput

__all__ = ['student_pass']


def student_pass(student: Any, batch: ImageBatch | MixedBatch, domain: str) -> SegOutput:
    """Run a student for training.

    Args:
        student: A segmentor. One of several resolutions has a random detail crop of each image,
            which follows from the image's seed and ``domain``.
        batch: The images, with their labels.
        domain: Name of the pass.
    """
    images, head = batch.images, student.decode_head  # (N, 3, H, W)
    if hasattr(student, 'detail_size'):
        crops = draw_crops(images, student.detail_size, student.divisor, batch.seeds, domain)
        features = student.extract_feat(images, crops)
        fused, logits = head.fuse(features)  # (N, C, H / stride, W / stride)
        detail = Detail(logits, crops, student.detail_weight)
        return SegOutput(features, fused, domain, fused, batch, detail)
    features = student.extract_feat(images)
    logits, upsample = raw_logits(head, features)  # (N, C, h, w)
    return SegOutput(features, upsample(logits), domain, logits, batch)
