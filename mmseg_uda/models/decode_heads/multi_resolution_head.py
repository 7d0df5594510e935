"""Fusion of the predictions on an image's context and on details of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor

from mmseg_uda.models.decode_heads.wrapping_head import WrappingHead
from mmseg_uda.models.decode_loss import has_stock_loss
from mmseg_uda.models.layers.detail_crops import Slides, to_size
from mmseg_uda.structures import Crops
from mmseg_uda.utils.arguments import check_integer, check_number, expect

__all__ = ['MultiResolutionFeatures', 'MultiResolutionHead']


class MultiResolutionFeatures(tuple[Tensor, ...]):
    """Features of the context, as any decode head takes them, and those of detail crops.

    Args:
        context: Levels (N, C, h, w).
        detail: Levels (M, C, h', w'), of all crops.
        crops: The crops, in pixels of the whole images.
        sides: Height and width of the whole images.
    """

    detail: tuple[Tensor, ...]
    crops: Crops | Slides
    sides: Sequence[int]

    def __new__(
        cls,
        context: Sequence[Tensor],
        detail: Sequence[Tensor],
        crops: Crops | Slides,
        sides: Sequence[int],
    ) -> MultiResolutionFeatures:
        features = super().__new__(cls, context)
        features.detail, features.crops, features.sides = tuple(detail), crops, sides
        return features


@MODELS.register_module()
class MultiResolutionHead(WrappingHead):
    r"""A decode head for context and detail, fused by a scale attention (HRDA, ECCV 2022,
    `arXiv:2204.13132 <https://arxiv.org/abs/2204.13132>`_).

    .. math::
        z = \zeta(a \odot m) \odot \pi(z_d) + \zeta((1 - a \odot m) \odot z_c)

    :math:`z_c`, :math:`z_d` are the classifier's logits of context and detail, a the attention, and
    m is 1 inside of the detail crop; :math:`\pi` puts the detail's logits at their place among
    zeros, and :math:`\zeta` resizes bilinearly. Products are resized, not factors. Over slides,
    m is 1, and :math:`\pi` averages where they overlap.

    Args:
        classifier: Config of the decode head, for both resolutions.
        attention: Config of a decode head that computes a, with one output or one per class, whose
            sigmoid is taken; by default the classifier's.
        stride: Pixels of the classifier's input per position of its logits.
        downscale: Factor of the context.
        init_cfg: As for every mmengine module.

    Raises:
        TypeError: The classifier has a loss of its own.
        ValueError: A number is out of range, or the attention has another number of outputs.
    """

    def __init__(
        self,
        classifier: ConfigType,
        attention: OptConfigType = None,
        *,
        stride: float = 4,
        downscale: int = 2,
        init_cfg: Any = None,
    ) -> None:
        name = type(self).__name__
        check_number(f'{name}.stride', stride, '(0, inf)')
        check_integer(f'{name}.downscale', downscale, 2)
        super().__init__('classifier', classifier, init_cfg)
        if not has_stock_loss(self.classifier):
            raise TypeError(
                f'{name}.classifier: expected a decode head with the stock `loss_by_feat`, but got '
                f'{type(self.classifier).__name__}; write another one'
            )
        self.attention = MODELS.build(attention or classifier)
        outputs = self.attention.out_channels
        expected = f'num_classes of 1 or {self.out_channels}'
        expect(outputs in (1, self.out_channels), f'{name}.attention', expected, outputs)
        self.stride = stride
        self.downscale = downscale
        self.divisor = int(stride * downscale)
        expect(self.divisor == stride * downscale, f'{name}.stride', 'a half of an integer', stride)

    def forward(self, inputs: MultiResolutionFeatures) -> Tensor:
        """Compute the fused logits (N, C, H / stride, W / stride) of images (N, 3, H, W)."""
        return self.fuse(inputs)[0]

    def fuse(self, inputs: MultiResolutionFeatures) -> tuple[Tensor, Tensor]:
        """Compute the fused logits, and the detail's (M, C, h, w), of all crops."""
        coarse = inputs.crops.scaled(self.divisor)
        fine = inputs.crops.scaled(self.divisor, self.downscale)
        size = [side // self.divisor for side in inputs.sides]
        fine_size = [side * self.downscale for side in size]
        context = self._fit(self.classifier(inputs), size)  # z_c, (N, C, h, w)
        attention = self._fit(self.attention(inputs), size).sigmoid()  # a
        attention = coarse.restrict(attention)  # a ⊙ m
        detail = self._fit(self.classifier(inputs.detail), fine.size)  # z_d
        placed = fine.place(detail, fine_size)  # π(z_d), (N, C, 2h, 2w)
        fused = to_size(attention, fine_size) * placed
        return fused + to_size((1 - attention) * context, fine_size), detail

    def _fit(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Resize logits that ceil-mode pooling makes larger than the grid of the crops."""
        if not torch.compiler.is_compiling() and any(
            abs(got - expected) > 1 for got, expected in zip(logits.shape[2:], size)
        ):
            raise ValueError(
                f'MultiResolutionHead.stride: expected logits of size {tuple(size)} for stride '
                f'{self.stride}, but got {tuple(logits.shape[2:])}; write the stride of '
                f'{type(self.classifier).__name__}'
            )
        return to_size(logits, size)
