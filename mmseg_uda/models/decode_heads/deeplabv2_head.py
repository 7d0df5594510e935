"""Classifier of DeepLab-v2."""

from __future__ import annotations

from typing import Any, Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence, expect

__all__ = ['DeepLabV2Head']


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """Parallel dilated 3x3 convolutions from the features to the classes, summed ("ASPP v2").

    Args:
        in_channels: Channels of the features.
        num_classes: Classes to predict.
        dilations: Dilation, which is also the padding, of each branch.
        aspp_branches: Branches to build, the first of ``dilations``; all by default. The official
            AdaptSegNet code, and others after it, use 2: a ``return`` inside its loop leaves the
            branches of dilation 18 and 24 unused.
        dropout_ratio: Dropout of whole feature channels; the papers use none.
        align_corners: Alignment of every bilinear resize of the logits.
        loss_decode: Loss of the logits at label size; by default the cross entropy as a mean over
            the pixels that are not ignored, which is 0 where all are.
        init_cfg: MMEngine's initialisation; weights N(0, 0.01) and zero bias by default.
        **kwargs: Further arguments of MMSegmentation's ``BaseDecodeHead``.

    Raises:
        ValueError: ``aspp_branches`` is out of range.

    Examples:
        >>> import torch
        >>> head = DeepLabV2Head(in_channels=64, num_classes=19)
        >>> head.forward((torch.rand(1, 64, 9, 17),)).shape
        torch.Size([1, 19, 9, 17])
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_classes: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        aspp_branches: int | None = None,
        dropout_ratio: float = 0.0,
        align_corners: bool = True,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_integer(f'{name}.in_channels', in_channels, 1)
        check_integer(f'{name}.num_classes', num_classes, 1)
        check_sequence(f'{name}.dilations', dilations, check_integer, 1)
        if aspp_branches is None:
            aspp_branches = len(dilations)
        check_integer(f'{name}.aspp_branches', aspp_branches, 1)
        expected = f'a number from 1 to {len(dilations)}, the length of `dilations`'
        fits = aspp_branches <= len(dilations)
        expect(fits, f'{name}.aspp_branches', expected, aspp_branches)
        check_number(f'{name}.dropout_ratio', dropout_ratio, '[0, 1]')
        kwargs.setdefault('channels', in_channels)
        super().__init__(
            in_channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            align_corners=align_corners,
            loss_decode=loss_decode or dict(type='PixelCrossEntropyLoss'),
            init_cfg=init_cfg or dict(type='Normal', std=0.01, layer='Conv2d'),
            **kwargs,
        )
        del self.conv_seg  # the base's 1x1 classifier: the branches give the logits themselves
        self.branches = nn.ModuleList(
            nn.Conv2d(self.in_channels, self.out_channels, 3, padding=dilation, dilation=dilation)
            for dilation in dilations[:aspp_branches]
        )

    def cls_seg(self, feat: Tensor) -> Tensor:
        """Classify features.

        Args:
            feat: Shape (N, in_channels, h, w).

        Returns:
            Logits, shape (N, num_classes, h, w).
        """
        if self.dropout is not None:
            feat = self.dropout(feat)
        # A running sum keeps one map (N, C, h, w) in memory instead of one per branch.
        logits = self.branches[0](feat)
        for branch in self.branches[1:]:
            logits = logits + branch(feat)
        return logits

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Classify the backbone's features, chosen by ``in_index``.

        Args:
            inputs: Feature maps of the backbone, each of shape (N, C, h, w).

        Returns:
            Logits, shape (N, num_classes, h, w), at the features' stride.
        """
        return self.cls_seg(self._transform_inputs(inputs))
