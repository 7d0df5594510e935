"""HRDA: a segmentor that sees images at two resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.models.decode_heads.multi_resolution_head import MultiResolutionFeatures
from mmseg_uda.models.layers.detail_crops import Slides, to_size
from mmseg_uda.models.segmentors.extended import ExtendedSegmentor
from mmseg_uda.structures import Crops
from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence, expect

__all__ = ['MultiResolutionSegmentor']


@MODELS.register_module()
class MultiResolutionSegmentor(ExtendedSegmentor):
    """Any segmentor of mmseg on context and detail, as in "HRDA: Context-Aware High-Resolution
    Domain-Adaptive Semantic Segmentation" (ECCV 2022), `arXiv:2204.13132
    <https://arxiv.org/abs/2204.13132>`_.

    The context is the whole image at half the resolution, the detail a crop of it at full
    resolution. One encoder and one decode head see both, and :class:`MultiResolutionHead` fuses
    their logits. In the passes of a method the detail is a random crop of each image, whose logits
    learn the labels, too. Elsewhere, for a teacher and at test time, overlapping slides cover the
    image; images of odd sizes are resized to the next size that fits.

    Stock training takes slides, too, and has no loss of the detail: train with
    ``dict(type='SourceOnly', segmentor=...)`` instead.

    Args:
        decode_head: Config of the stock segmentor's decode head.
        detail_size: Height and width of the detail crops; HRDA: half the sides of the training
            images.
        attention: Config of the scale attention; as for :class:`MultiResolutionHead`.
        detail_weight: Share of the detail's loss, in [0, 1); the fused logits have the rest.
        slide_step: Rows and columns between slides; about half the detail's by default.
        stride: As for :class:`MultiResolutionHead`.
        downscale: As for :class:`MultiResolutionHead`.
        segmentor_type: As for :class:`ExtendedSegmentor`.
        segmentor: As for :class:`ExtendedSegmentor`.

    Raises:
        ValueError: A number is out of range, or a size is no multiple of ``divisor``, the product
            of stride and downscale.
    """

    def __init__(
        self,
        decode_head: ConfigType,
        detail_size: Sequence[int],
        attention: OptConfigType = None,
        *,
        detail_weight: float = 0.1,
        slide_step: Sequence[int] | None = None,
        stride: float = 4,
        downscale: int = 2,
        segmentor_type: str = 'EncoderDecoder',
        **segmentor: Any,
    ) -> None:
        name = type(self).__name__
        check_number(f'{name}.detail_weight', detail_weight, '[0, 1)')
        check_number(f'{name}.stride', stride, '(0, inf)')
        check_integer(f'{name}.downscale', downscale, 2)
        check_sequence(f'{name}.detail_size', detail_size, check_integer, 1, length=2)
        if slide_step is not None:
            check_sequence(f'{name}.slide_step', slide_step, check_integer, 1, length=2)
        head = dict(
            type='MultiResolutionHead',
            classifier=decode_head,
            attention=attention,
            stride=stride,
            downscale=downscale,
        )
        super().__init__(segmentor_type, decode_head=head, **segmentor)
        self.divisor = divisor = self.decode_head.divisor
        slide_step = slide_step or [max(side // 2 // divisor, 1) * divisor for side in detail_size]
        for key, sides in dict(detail_size=detail_size, slide_step=slide_step).items():
            fits = not any(side % divisor for side in sides)
            expect(fits, f'{name}.{key}', f'multiples of {divisor}', tuple(sides))
        self.detail_size = (detail_size[0], detail_size[1])
        self.slide_step = (slide_step[0], slide_step[1])
        self.detail_weight = detail_weight
        self.downscale = downscale

    def extract_feat(self, inputs: Tensor, crops: Crops | None = None) -> MultiResolutionFeatures:
        """Extract the features of context and detail.

        Args:
            inputs: Normalised images (N, 3, H, W).
            crops: A detail crop of each image; None for slides over all of it.
        """
        if crops is None:
            # ONNX rounds a negative quotient up, so that there is none here.
            larger = [side + self.divisor - 1 for side in inputs.shape[2:]]
            inputs = to_size(inputs, [side // self.divisor * self.divisor for side in larger])
        sides = inputs.shape[2:]
        layout = crops or Slides(
            inputs.shape[0], sides, self.detail_size, self.slide_step, self.divisor
        )
        context = to_size(inputs, [side // self.downscale for side in sides])  # x_c
        detail = layout.cut(inputs)  # x_d, (M, 3, h, w)
        if context.shape[2:] == detail.shape[2:] and not self._mixes_images():
            number = context.shape[0]
            levels = super().extract_feat(torch.cat([context, detail]))
            parts = [level[:number] for level in levels], [level[number:] for level in levels]
        else:
            parts = super().extract_feat(context), super().extract_feat(detail)
        return MultiResolutionFeatures(*parts, layout, sides)

    def _mixes_images(self) -> bool:
        """Tell if images change each other's features, by the statistics of a batch."""
        encoder = (module for name, module in self.named_children() if not name.endswith('head'))
        layers = nn.ModuleList(encoder).modules()
        return any(isinstance(layer, _BatchNorm) and layer.training for layer in layers)
