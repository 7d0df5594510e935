"""SAM's Figures 3 and E.4: the attention of each class, and the similarity of single pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.utils import resize
from torch import Tensor
from torch.nn.functional import interpolate

from mmseg_uda.models.decode_heads.self_attention_head import SelfAttentionHead
from mmseg_uda.models.decode_heads.wrapping_head import WrappingHead, raw_logits
from mmseg_uda.models.layers.self_attention import SelfAttentionModule
from mmseg_uda.models.losses.self_attention_loss import SelfAttentionLoss
from mmseg_uda.structures import IGNORE_INDEX, SegOutput

__all__ = [
    'ClassAttention',
    'class_attention',
    'label_similarity',
    'plain_logits',
    'self_attention_of',
    'similarity',
]


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
    features, logits = plain_logits(model, image)
    module: Any = None if part is None else part.self_attention
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
    return ClassAttention(classes, positions, similarity(x, positions, module))


def plain_logits(model: BaseSegmentor, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Compute the features of an image, and the logits before any upsampling or self-attention."""
    features = tuple(model.extract_feat(image))
    head: Any = model.decode_head
    logits, _ = raw_logits(head.classifier if isinstance(head, WrappingHead) else head, features)
    return features, logits


@torch.no_grad()
def similarity(x: Tensor, positions: Tensor, module: SelfAttentionModule | None = None) -> Tensor:
    """Compute ReLU of the cosine between single pixels and all pixels (eq. 13 of SAM).

    Args:
        x: Map of one image, shape (1, C, h, w).
        positions: Flat indices into h * w, shape (P,).
        module: Its convolution comes first; None to compare pixels of ``x`` themselves.

    Returns:
        Shape (P, h, w), in [0, 1]; 1 at the pixel itself, or 0 everywhere if it is 0.
    """
    module = module or SelfAttentionModule(x.shape[1], with_conv=False)
    maps = module.attention_maps(x, positions)[0]  # (P, h, w)
    peak = maps.flatten(1).gather(1, positions[:, None])  # the pixel's similarity to itself is 1
    return maps / peak.masked_fill(peak == 0, 1)[..., None]


def label_similarity(label: Tensor, size: Sequence[int], positions: Tensor) -> Tensor:
    """Compute :func:`similarity` of one-hot labels: 1 for pixels of one class, else 0.

    Args:
        label: Train ids, shape (H, W); 255 resembles nothing.
        size: Height and width (h, w) to which it is resized, by the nearest pixel.
        positions: Flat indices into h * w, shape (P,).

    Returns:
        Shape (P, h, w).

    Example:
        >>> label_similarity(torch.tensor([[3, 3, 7, 255]]), (1, 4), torch.tensor([0, 3]))
        tensor([[[1., 1., 0., 0.]],
        <BLANKLINE>
                [[0., 0., 0., 0.]]])
    """
    small = interpolate(label[None, None].float(), tuple(size))[0, 0].long()  # (h, w)
    own = small.flatten()[positions][:, None, None]  # (P, 1, 1)
    return ((small == own) & (own != IGNORE_INDEX)).float()
