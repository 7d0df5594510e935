"""SAM's Figure 3: the attention of each class."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.utils import resize
from torch import Tensor

from mmseg_uda.models.decode_heads.self_attention_head import SelfAttentionHead
from mmseg_uda.models.decode_heads.wrapping_head import WrappingHead, raw_logits
from mmseg_uda.models.layers.self_attention import SelfAttentionModule
from mmseg_uda.models.losses.self_attention_loss import SelfAttentionLoss
from mmseg_uda.structures import SegOutput

__all__ = ['ClassAttention', 'class_attention', 'self_attention_of']


class ClassAttention(NamedTuple):
    """Attention of one image, with an entry for each predicted class.

    Args:
        classes: Indices of the classes, the one with the most pixels first, shape (K,).
        positions: Flat index into h * w of each class's most confident pixel, shape (K,).
        maps: Similarity to that pixel, shape (K, h, w), in [0, 1]; 1 at the pixel itself.
    """

    classes: Tensor
    positions: Tensor
    maps: Tensor


def self_attention_of(model: BaseSegmentor) -> SelfAttentionHead | SelfAttentionLoss | None:
    """Find the first part of a model that has a self-attention.

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
def class_attention(model: BaseSegmentor, image: Tensor, plain: bool = False) -> ClassAttention:
    """Compute the similarity of all pixels to the most confident one of each class.

    Args:
        model: A segmentor or a method.
        image: One normalised image, shape (1, 3, H, W).
        plain: True to compare the network's own logits, without a self-attention; for any network.

    Raises:
        TypeError: The model has no self-attention.
        ValueError: There are several images.
    """
    if len(image) != 1:
        raise ValueError(f'class_attention.image: expected one image, but got {len(image)}')
    part: Any = None if plain else self_attention_of(model)
    if part is None and not plain:
        raise TypeError(
            'class_attention: expected a model with a SelfAttentionHead or a SelfAttentionLoss, '
            f'but got {type(model).__name__}; write plain=True'
        )
    features = tuple(model.extract_feat(image))
    head: Any = model.decode_head
    logits, _ = raw_logits(head.classifier if isinstance(head, WrappingHead) else head, features)
    plain_module = SelfAttentionModule(logits.shape[1], with_conv=False)
    module: Any = plain_module if part is None else part.self_attention
    x = logits  # the map that the self-attention compares pixels by
    if isinstance(part, SelfAttentionLoss):
        x = part.attended_map(SegOutput(features, logits, 'target', logits))
    elif part is not None and part.attend == 'features':
        x = features[part.attended_index]
    if logits.shape[2:] != x.shape[2:]:  # positions are those of x
        logits = resize(
            logits, size=x.shape[2:], mode='bilinear', align_corners=model.align_corners
        )
    confidence, label = logits[0].float().flatten(1).softmax(0).max(0)  # both (hw,)
    sizes = label.bincount()
    order = sizes.argsort(descending=True, stable=True)
    classes = order[sizes[order] > 0]  # (K,)
    of_class = label == classes[:, None]  # (K, hw)
    positions = confidence.masked_fill(~of_class, -1.0).max(1).indices
    maps = module.attention_maps(x, positions)[0]  # (K, h, w)
    peak = maps.flatten(1).gather(1, positions[:, None])  # the pixel's similarity to itself is 1
    return ClassAttention(classes, positions, maps / peak.masked_fill(peak == 0, 1)[..., None])
