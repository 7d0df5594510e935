"""What a model's self-attention relates with each class."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.utils import resize
from torch import Tensor

from mmseg_uda.models.decode_heads.self_attention_head import SelfAttentionHead
from mmseg_uda.models.decode_heads.wrapping_head import WrappingHead, class_scores
from mmseg_uda.models.layers.self_attention import (
    ClassAttention,
    SelfAttentionModule,
    class_attention,
)
from mmseg_uda.models.losses.self_attention_loss import SelfAttentionLoss
from mmseg_uda.structures import SegOutput

__all__ = ['class_view', 'self_attention_of']


def self_attention_of(model: BaseSegmentor) -> SelfAttentionHead | SelfAttentionLoss | None:
    """The part of a model that has a self-attention, the first one if there are several.

    Args:
        model: A segmentor or a method: stage A of SAM, or anything trained with its loss.
    """
    head: Any = model.decode_head
    if isinstance(head, SelfAttentionHead):
        return head
    regularizers = getattr(model, 'regularizers', None) or getattr(head, 'regularizers', {})
    return next(
        (part for part in regularizers.values() if isinstance(part, SelfAttentionLoss)), None
    )


@torch.no_grad()
def class_view(model: BaseSegmentor, image: Tensor, plain: bool = False) -> ClassAttention:
    """Similarity of all pixels to the most confident one of each class (Figure 3 of SAM).

    Args:
        model: A segmentor or a method.
        image: One normalised image, shape (1, 3, H, W).
        plain: Compare the network's own scores, without a self-attention: for any network.

    Returns:
        The classes that it predicts, the one with the most pixels first.

    Raises:
        TypeError: The model has no self-attention.
    """
    part: Any = None if plain else self_attention_of(model)
    if part is None and not plain:
        raise TypeError(
            f'class_view got {type(model).__name__} without self-attention; write a '
            'model with a SelfAttentionHead or a SelfAttentionLoss, or plain=True'
        )
    features = model.extract_feat(image)
    head: Any = model.decode_head
    scores, _ = class_scores(head.classifier if isinstance(head, WrappingHead) else head, features)
    module: Any = SelfAttentionModule(scores.shape[1], with_conv=False)
    x = scores
    if isinstance(part, SelfAttentionHead) and part.attend == 'features':
        x = features[part.attended_index]
    elif isinstance(part, SelfAttentionLoss):
        x = part.observed(SegOutput(tuple(features), scores, 'target', scores))
    if part is not None:
        module = part.self_attention
    if scores.shape[2:] != x.shape[2:]:  # positions are those of x
        scores = resize(
            scores, size=x.shape[2:], mode='bilinear', align_corners=model.align_corners
        )
    view = class_attention(module, scores, x)
    sizes = scores[0].max(0).indices.flatten().bincount(minlength=scores.shape[1])[view.classes]
    order = sizes.argsort(descending=True, stable=True)
    return ClassAttention(*(part[order] for part in view))
