"""Classifier of ProDA: dilated convolutions with group norm, whose features have a name."""

from __future__ import annotations

from typing import Any, Sequence

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import SELayer
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence, expect

__all__ = ['ASPPGNHead']


@MODELS.register_module()
class ASPPGNHead(BaseDecodeHead):
    """The classifier of ProDA's published code (`arXiv:2101.10979
    <https://arxiv.org/abs/2101.10979>`_).

    A 1x1 and dilated 3x3 convolutions, each with group norm and ReLU; squeeze and excitation of
    their concatenation; a 3x3 convolution with group norm. These are the features that prototypes
    average, after dropout: the input of ``conv_seg``, a 1x1 convolution without bias.

    Args:
        in_channels: Channels of the backbone's features.
        channels: Channels of each branch, and of the features.
        num_classes: Classes to predict.
        dilations: Dilation of each 3x3 convolution.
        num_groups: Groups of the group norms.
        input_norm: True for a batch norm of the backbone's features (stages 2 and 3).
        dropout_ratio: Dropout of whole feature channels.
        align_corners: Alignment of every bilinear resize of the logits.
        loss_decode: Loss of the logits; cross entropy by default.
        init_cfg: MMEngine's initialisation; weights N(0, 0.01) by default.
        kwargs: Further arguments of MMSegmentation's ``BaseDecodeHead``.

    Raises:
        ValueError: An argument is out of range, or ``num_groups`` does not divide ``channels``.

    Examples:
        >>> head = ASPPGNHead(in_channels=64, channels=32, num_classes=19)
        >>> head.forward((torch.rand(2, 64, 9, 17),)).shape
        torch.Size([2, 19, 9, 17])
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        num_classes: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        num_groups: int = 32,
        input_norm: bool = False,
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        for key, value in dict(
            in_channels=in_channels,
            channels=channels,
            num_classes=num_classes,
            num_groups=num_groups,
        ).items():
            check_integer(f'{name}.{key}', value, 1)
        check_sequence(f'{name}.dilations', dilations, check_integer, 1)
        check_number(f'{name}.dropout_ratio', dropout_ratio, '[0, 1]')
        divides = channels % num_groups == 0
        expect(divides, f'{name}.num_groups', f'a divisor of {channels} channels', num_groups)
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            loss_decode=loss_decode or dict(type='PixelCrossEntropyLoss'),
            init_cfg=init_cfg or dict(type='Normal', std=0.01, layer='Conv2d'),
            **kwargs,
        )
        norm = dict(type='GN', num_groups=num_groups)
        self.input_norm = nn.BatchNorm2d(self.in_channels) if input_norm else nn.Identity()
        self.branches = nn.ModuleList(
            [ConvModule(self.in_channels, channels, 1, norm_cfg=norm, bias=True)]
        )
        for dilation in dilations:
            self.branches.append(
                ConvModule(
                    self.in_channels,
                    channels,
                    3,
                    padding=dilation,
                    dilation=dilation,
                    norm_cfg=norm,
                    bias=True,
                )
            )
        width = channels * len(self.branches)
        self.excite = SELayer(width, 16, act_cfg=(dict(type='ReLU'), dict(type='Sigmoid')))
        self.bottleneck = ConvModule(
            width, channels, 3, padding=1, norm_cfg=norm, act_cfg=None, bias=True
        )
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 1, bias=False)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Classify the backbone's features, chosen by ``in_index``.

        Args:
            inputs: Feature maps of the backbone, each of shape (N, C, h, w).

        Returns:
            Logits, shape (N, num_classes, h, w).
        """
        features = self.input_norm(self._transform_inputs(inputs))
        branches = torch.cat([branch(features) for branch in self.branches], 1)
        return self.cls_seg(self.bottleneck(self.excite(branches)))
