"""The decode head of DAFormer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence

__all__ = ['DAFormerHead']


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Context-aware fusion of all levels of an encoder (DAFormer, CVPR 2022, `arXiv:2111.14887
    <https://arxiv.org/abs/2111.14887>`_).

    A 1x1 convolution embeds each level, without norm or activation; all are brought to the size of
    the first, and concatenated. Depthwise separable convolutions of several dilations fuse them,
    without image pooling, and a 3x3 convolution joins the branches. mmseg's
    ``DepthwiseSeparableASPPHead`` pools the image, and fuses a low level a second time.

    Args:
        in_channels: Channels of each level.
        num_classes: Classes to predict.
        in_index: Index of each level; all, in their order, by default.
        channels: Channels of each embedding, of each branch and of the joined features.
        dilations: Dilation of each branch; 1 is a 1x1 convolution. None for a 1x1 convolution in
            place of branches and bottleneck (HRDA's scale attention).
        norm_cfg: Norm of branches and bottleneck.
        dropout_ratio: Dropout of whole channels before the classifier.
        align_corners: Alignment of every bilinear resize.
        loss_decode: Loss of the logits at label size; by default the cross entropy as a mean over
            the pixels that are not ignored.
        kwargs: Further arguments of mmseg's ``BaseDecodeHead``.

    Examples:
        >>> head = DAFormerHead(in_channels=[4, 8], num_classes=3, channels=4).eval()
        >>> head.forward((torch.rand(1, 4, 8, 8), torch.rand(1, 8, 4, 4))).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        num_classes: int,
        in_index: Sequence[int] | None = None,
        channels: int = 256,
        dilations: Sequence[int] | None = (1, 6, 12, 18),
        norm_cfg: dict[str, Any] | None = None,
        dropout_ratio: float = 0.1,
        align_corners: bool = False,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        check_integer('DAFormerHead.num_classes', num_classes, 1)
        check_integer('DAFormerHead.channels', channels, 1)
        check_number('DAFormerHead.dropout_ratio', dropout_ratio, '[0, 1]')
        if dilations is not None:
            check_sequence('DAFormerHead.dilations', dilations, check_integer, 1)
        if in_index is not None:
            check_sequence('DAFormerHead.in_index', in_index, check_integer)
        check_sequence('DAFormerHead.in_channels', in_channels, check_integer, 1)
        super().__init__(
            list(in_channels),
            channels,
            num_classes=num_classes,
            in_index=list(range(len(in_channels)) if in_index is None else in_index),
            input_transform='multiple_select',
            norm_cfg=norm_cfg or dict(type='BN'),
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            loss_decode=loss_decode or dict(type='PixelCrossEntropyLoss'),
            **kwargs,
        )
        self.embeddings = nn.ModuleList(nn.Conv2d(each, channels, 1) for each in in_channels)
        conv = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        concatenated = channels * len(in_channels)
        self.aspp: nn.Module | None = None
        if dilations is None:
            self.bottleneck = ConvModule(concatenated, channels, 1, **conv)
            return
        self.aspp = DepthwiseSeparableASPPModule(
            dilations=tuple(dilations), in_channels=concatenated, channels=channels, **conv
        )
        self.bottleneck = ConvModule(len(dilations) * channels, channels, 3, padding=1, **conv)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Classify the encoder's features.

        Args:
            inputs: Feature maps of the encoder, each of shape (N, C, h, w) of its own.

        Returns:
            Logits, shape (N, num_classes, h, w), at the first level's size.
        """
        levels = self._transform_inputs(inputs)
        size = levels[0].shape[2:]
        embedded = [
            resize(embed(each), size=size, mode='bilinear', align_corners=self.align_corners)
            for embed, each in zip(self.embeddings, levels)
        ]
        fused = torch.cat(embedded, 1)
        if self.aspp is not None:
            fused = torch.cat(self.aspp(fused), 1)
        logits: Tensor = self.cls_seg(self.bottleneck(fused))
        return logits
