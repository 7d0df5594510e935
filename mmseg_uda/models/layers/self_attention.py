"""SAM's self-attention module."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.layers.attention import (
    DEFAULT_CHUNK_ELEMENTS,
    cosine_attend,
    cosine_attention_map,
)
from mmseg_uda.utils.arguments import check_integer, expect

__all__ = ['SelfAttentionModule']


@MODELS.register_module()
class SelfAttentionModule(BaseModule):
    r"""SAM: replaces every pixel by a weighted mean of the pixels that are similar to it.

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
        kernel_size: Kernel of the convolution, odd (the paper gives no number).
        with_conv: False for the ablation F = o, which has no parameters.
        chunk_elements: Largest number of elements of A in memory at once (per image).
        init_cfg: As for every mmengine module; PyTorch's initialisation by default.

    Raises:
        ValueError: An argument is out of range, or belongs to a convolution that there is not.

    Examples:
        >>> module = SelfAttentionModule(in_channels=2, with_conv=False)
        >>> o = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]).view(1, 2, 1, 3)
        >>> module(o)[0, :, 0]  # the first two pixels are similar, the third is not
        tensor([[1.5000, 1.5000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
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
        check_integer(f'{name}.in_channels', in_channels, 1)
        if out_channels is not None:
            check_integer(f'{name}.out_channels', out_channels, 1)
        check_integer(f'{name}.kernel_size', kernel_size, 1)
        expect(kernel_size % 2 == 1, f'{name}.kernel_size', 'an odd number', kernel_size)
        check_integer(f'{name}.chunk_elements', chunk_elements, 1)
        if not with_conv and (out_channels is not None or kernel_size != 1):
            raise ValueError(
                f'{name}.with_conv: expected True with out_channels={out_channels} and '
                f'kernel_size={kernel_size}, but got False; remove them'
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
            x: The map that pixels are compared by, shape (N, in_channels, h, w).
            value: The map that is averaged, shape (N, C, h, w); ``x`` by default.

        Returns:
            Shape (N, C, h, w), in ``value``'s dtype; linear combinations of ``value``'s pixels
            whose weights are not negative and sum to 1.
        """
        value = x if value is None else value
        attended = cosine_attend(self.conv(x).flatten(2), value.flatten(2), self.chunk_elements)
        return attended.reshape(value.shape)  # (N, C, hw) to (N, C, h, w)

    @torch.no_grad()
    def attention_maps(self, x: Tensor, positions: Tensor) -> Tensor:
        r"""Compute rows of :math:`\tilde A`, for figures.

        Args:
            x: Shape (N, in_channels, h, w).
            positions: Flat indices into h * w, shape (P,).

        Returns:
            Shape (N, P, h, w); each map sums to 1.
        """
        rows = cosine_attention_map(self.conv(x).flatten(2), positions)  # (N, P, hw)
        return rows.reshape(*rows.shape[:2], *x.shape[2:])
