"""ResNet with the max-pool of the Caffe models."""

from __future__ import annotations

from typing import Any

from mmseg.models import ResNet
from mmseg.registry import MODELS
from torch import nn

__all__ = ['CeilPoolResNet']


@MODELS.register_module()
class CeilPoolResNet(ResNet):
    """MMSegmentation's ``ResNet`` whose max-pool rounds its output size up, as in DeepLab-v2.

    With ``style='caffe'``, ``strides=(1, 2, 1, 1)``, ``dilations=(1, 1, 2, 4)`` and
    ``contract_dilation=False`` this is the ResNet of DeepLab-v2: a (512, 1024) image gives
    (65, 129) features, where rounding down gives (64, 128). Parameters and their names stay those
    of ``ResNet``.

    Args:
        *args: Arguments of ``mmseg.models.ResNet``.
        ceil_mode: True to round the output size of the max-pool up.
        **kwargs: Arguments of ``mmseg.models.ResNet``.
    """

    def __init__(self, *args: Any, ceil_mode: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=ceil_mode)
