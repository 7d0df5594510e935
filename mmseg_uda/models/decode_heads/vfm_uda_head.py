"""The decode head of VFM-UDA."""

from __future__ import annotations

from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_integer, check_number

__all__ = ['VFMUDAHead']


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position."""

    def forward(self, input: Tensor) -> Tensor:
        """Norm a map (N, C, h, w)."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class VFMUDAHead(BaseDecodeHead):
    """Upsampling of the last tokens of a vision transformer by four (VFM-UDA, CVPR Workshops 2024,
    `arXiv:2406.09896 <https://arxiv.org/abs/2406.09896>`_).

    Two transposed 2x2 convolutions, each with a layer norm and half of the channels, a GELU between
    them, a 3x3 convolution with a layer norm, and a 1x1 classifier, N(0, 0.1), without bias.

    Args:
        in_channels: C, width of the transformer; a multiple of 4.
        num_classes: Classes to predict.
        in_index: Index of the feature map.
        dropout_ratio: Dropout of whole channels before the classifier.
        loss_decode: Loss of the logits at label size; by default the cross entropy as a mean over
            the pixels that are not ignored.
        kwargs: Further arguments of mmseg's ``BaseDecodeHead``.

    Raises:
        ValueError: ``in_channels`` or ``num_classes`` is out of range.

    Example:
        >>> import torch
        >>> head = VFMUDAHead(in_channels=8, num_classes=3)
        >>> head.forward((torch.rand(1, 8, 4, 6),)).shape
        torch.Size([1, 3, 16, 24])
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_classes: int,
        in_index: int = -1,
        dropout_ratio: float = 0.0,
        loss_decode: dict[str, Any] | list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        check_integer('VFMUDAHead.in_channels', in_channels, 4)
        check_integer('VFMUDAHead.num_classes', num_classes, 1)
        check_integer('VFMUDAHead.in_index', in_index)
        check_number('VFMUDAHead.dropout_ratio', dropout_ratio, '[0, 1]')
        half, channels = in_channels // 2, in_channels // 4
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            in_index=in_index,
            dropout_ratio=dropout_ratio,
            loss_decode=loss_decode or dict(type='PixelCrossEntropyLoss'),
            init_cfg=dict(type='Normal', std=0.1, override=dict(name='conv_seg')),
            **kwargs,
        )
        self.upsample = nn.Sequential(
            nn.ConvTranspose2d(in_channels, half, 2, stride=2),
            ChannelNorm(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, channels, 2, stride=2),
            ChannelNorm(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            ChannelNorm(channels),
        )
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 1, bias=False)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Classify tokens (N, C, h, w): logits (N, num_classes, 4h, 4w)."""
        logits: Tensor = self.cls_seg(self.upsample(self._transform_inputs(inputs)))
        return logits
