"""The generator of CycleGAN."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import OptMultiConfig
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_integer

__all__ = ['NORMAL', 'ResNetGenerator']

NORMAL = dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.02)
"""Initialisation of CycleGAN's networks; biases start at 0."""
STRIDE = 4  # of the residual blocks


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm and reflected borders; no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [
                nn.ReflectionPad2d(1),
                nn.Conv2d(channels, channels, 3),
                nn.InstanceNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        return inputs + self.layers(inputs)


@MODELS.register_module()
class ResNetGenerator(BaseModule):
    """Translates images (N, 3, H, W) in [-1, 1] to images of the same shape and range.

    The network of Johnson et al. (`arXiv:1603.08155 <https://arxiv.org/abs/1603.08155>`_) as
    CycleGAN (`arXiv:1703.10593 <https://arxiv.org/abs/1703.10593>`_) has it: a 7x7 convolution, two
    of stride 2, residual blocks, two transposed convolutions, a 7x7 convolution, tanh. Instance
    norm has no parameters and takes the statistics of the image at test time too. Sizes that are no
    multiples of 4 are padded by reflection, and the result is cut.

    Args:
        channels: Channels at full resolution; 4 times as many in the residual blocks.
        num_blocks: Residual blocks; 9 in CycleGAN, 6 for images of 128x128 pixels.
        init_cfg: As for every mmengine module; N(0, 0.02) by default.

    Raises:
        ValueError: An argument is below 1.

    Examples:
        >>> import torch
        >>> ResNetGenerator(channels=2, num_blocks=1)(torch.zeros(1, 3, 18, 21)).shape
        torch.Size([1, 3, 18, 21])
    """

    def __init__(
        self, channels: int = 64, num_blocks: int = 9, init_cfg: OptMultiConfig = NORMAL
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        for key, value in dict(channels=channels, num_blocks=num_blocks).items():
            check_integer(f'ResNetGenerator.{key}', value, 1)

        def block(layer: nn.Module, width: int) -> list[nn.Module]:
            return [layer, nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]

        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for width in (channels, 2 * channels):
            down += block(nn.Conv2d(width, 2 * width, 3, 2, 1), 2 * width)
            up = block(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1), width) + up
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *block(nn.Conv2d(3, channels, 7), channels),
            *down,
            *(ResidualBlock(STRIDE * channels) for _ in range(num_blocks)),
            *up,
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels, 3, 7),
            nn.Tanh(),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Translate images (N, 3, H, W) in [-1, 1]."""
        height, width = inputs.shape[2:]
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        if any(padding):
            inputs = F.pad(inputs, padding, mode='reflect')
        return self.layers(inputs)[..., :height, :width]
