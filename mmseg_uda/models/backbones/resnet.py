"""ResNet with the max-pool of the Caffe models."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import build_norm_layer
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
        projection_shortcut: True to replace the identity around the last bottleneck by a 1x1
            convolution, N(0, 0.01), and batch norm, as in DAST's code. Its maker adds one to every
            stage of dilation 2 or 4, and it makes this bottleneck a stage of its own. No file of
            pretrained weights has this layer, so it starts at random.
        **kwargs: Arguments of ``mmseg.models.ResNet``.
    """

    def __init__(
        self, *args: Any, ceil_mode: bool = True, projection_shortcut: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=ceil_mode)
        if projection_shortcut:
            conv = nn.Conv2d(self.feat_dim, self.feat_dim, 1, bias=False)
            nn.init.normal_(conv.weight, std=0.01)
            norm = build_norm_layer(self.norm_cfg, self.feat_dim)[1]
            getattr(self, self.res_layers[-1])[-1].downsample = nn.Sequential(conv, norm)
            self._freeze_stages()  # the new layers, too
