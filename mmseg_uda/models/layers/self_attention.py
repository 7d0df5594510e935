"""SAM's self-attention module, and what it looks at."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.layers.attention import (
    DEFAULT_CHUNK_ELEMENTS,
    cosine_attend,
    cosine_attention_map,
)

__all__ = ['ClassAttention', 'SelfAttentionModule', 'class_attention']


@MODELS.register_module()
class SelfAttentionModule(BaseModule):
    r"""SAM: every pixel becomes the mean of the pixels that are similar to it.

    With :math:`F = \operatorname{Conv}(o)` and a row for each pixel, eq. (4)-(7) of *Exploiting
    Inter-pixel Correlations in Unsupervised Domain Adaptation for Semantic Segmentation*
    (`arXiv:2110.10916 <https://arxiv.org/abs/2110.10916>`_):

    .. math::
        A = \frac{F F^\top}{\|F\|_2 \|F\|_2^\top}, \qquad
        \tilde A_{ij} = \frac{\operatorname{ReLU}(A_{ij})}{\sum_k \operatorname{ReLU}(A_{ik})},
        \qquad \hat o = \tilde A o.

    The skip connection :math:`o + \hat o` is not in it. Memory is linear in the number of pixels.

    Args:
        in_channels: Channels of o.
        out_channels: Channels of F; those of o by default (the paper gives no number).
        kernel_size: Of the convolution, odd (the paper gives no number).
        with_conv: False for the ablation F = o, which leaves nothing to train.
        chunk_elements: Largest number of elements of A alive at once (per image).
        init_cfg: As for every mmengine module; PyTorch's initialisation by default.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        kernel_size: int = 1,
        with_conv: bool = True,
        chunk_elements: int = DEFAULT_CHUNK_ELEMENTS,
        init_cfg: dict[str, object] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f'{name}.kernel_size got {kernel_size}; write an odd number: every '
                'pixel keeps its place'
            )
        if chunk_elements < 1:
            raise ValueError(f'{name}.chunk_elements got {chunk_elements}; write at least 1')
        if not with_conv and (out_channels is not None or kernel_size != 1):
            raise ValueError(
                f'{name}.with_conv is False, but out_channels is {out_channels} and '
                f'kernel_size {kernel_size}; remove them: there is no convolution'
            )
        self.conv: nn.Module = (
            nn.Conv2d(
                in_channels, out_channels or in_channels, kernel_size, padding=kernel_size // 2
            )
            if with_conv
            else nn.Identity()
        )
        self.chunk_elements = chunk_elements

    def forward(self, x: Tensor, value: Tensor | None = None) -> Tensor:
        """Attend, without the skip connection.

        Args:
            x: What pixels are compared by, shape (N, in_channels, h, w).
            value: What they receive of one another, shape (N, C, h, w); ``x`` by default.

        Returns:
            Shape (N, C, h, w), in ``value``'s dtype; linear combinations of ``value``'s pixels
            whose weights are positive and sum to 1.
        """
        value = x if value is None else value
        attended = cosine_attend(self.conv(x).flatten(2), value.flatten(2), self.chunk_elements)
        return attended.reshape(value.shape)

    @torch.no_grad()
    def attention_maps(self, x: Tensor, positions: Tensor) -> Tensor:
        r"""Rows of :math:`\tilde A`, to look at.

        Args:
            x: Shape (N, in_channels, h, w).
            positions: Flat indices into h * w, shape (P,).

        Returns:
            Shape (N, P, h, w); each map sums to 1.
        """
        rows = cosine_attention_map(self.conv(x).flatten(2), positions)
        return rows.reshape(*rows.shape[:2], *x.shape[2:])


class ClassAttention(NamedTuple):
    """What :func:`class_attention` gives for one image, an entry for each class in it.

    Args:
        classes: Indices of the classes, ascending, shape (K,).
        positions: Flat index into h * w of each class's most confident pixel, shape (K,).
        maps: Similarity to that pixel, shape (K, h, w), in [0, 1]; 1 at the pixel itself.
    """

    classes: Tensor
    positions: Tensor
    maps: Tensor


@torch.no_grad()
def class_attention(
    module: SelfAttentionModule, seg_logits: Tensor, x: Tensor | None = None
) -> ClassAttention:
    """Similarity of all pixels to the most confident one of each class (the paper's Figure 3).

    A network that was trained without SAM is looked at by one ``with_conv=False``.

    Args:
        module: The self-attention.
        seg_logits: Of one image, shape (1, C, h, w).
        x: The module's input, shape (1, in_channels, h, w); the logits by default.

    Returns:
        For the classes that some pixel is predicted to be.

    Raises:
        ValueError: Several images.
    """
    if len(seg_logits) != 1:
        raise ValueError(f'class_attention.seg_logits got {len(seg_logits)} images; give one')
    confidence, label = seg_logits[0].float().flatten(1).softmax(0).max(0)
    classes = label.bincount().nonzero().flatten()
    own = label == classes[:, None]
    positions = confidence.masked_fill(~own, -1.0).max(1).indices
    maps = module.attention_maps(seg_logits if x is None else x, positions)[0]
    peak = maps.flatten(1).gather(1, positions[:, None])  # the pixel's similarity to itself is 1
    return ClassAttention(classes, positions, maps / peak.masked_fill(peak == 0, 1)[..., None])
