"""Fully convolutional domain discriminators."""

from __future__ import annotations

from typing import Sequence

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType, OptMultiConfig
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence

__all__ = ['FCDiscriminator']


@MODELS.register_module()
class FCDiscriminator(BaseModule):
    """Convolutions with LeakyReLU between them, whose last output is a map of raw scores.

    The default is the output-space discriminator of AdaptSegNet (`arXiv:1802.10349
    <https://arxiv.org/abs/1802.10349>`_): five 4x4 convolutions of stride 2 on softmax maps, one
    score per 32x32 pixels. No normalisation, PyTorch's initialisation. The 70x70 PatchGAN of
    CycleGAN (`arXiv:1703.10593 <https://arxiv.org/abs/1703.10593>`_) has ``in_channels=3``,
    ``stride=(2, 2, 2, 1, 1)`` and ``norm_cfg=dict(type='IN')``.

    Args:
        in_channels: Channels of the input; in output space, the number of classes.
        channels: Channels of the hidden convolutions.
        kernel_size: Kernel of every convolution.
        stride: Stride of every convolution, or a list with that of each, the last one included.
        padding: Padding of every convolution.
        negative_slope: Slope of the LeakyReLU.
        norm_cfg: Config of a norm layer after each convolution but the first and the last; None for
            none.
        init_cfg: As for every mmengine module.

    Raises:
        ValueError: The number of strides is not that of the convolutions.

    Examples:
        >>> import torch
        >>> FCDiscriminator(in_channels=19)(torch.rand(2, 19, 64, 128)).shape
        torch.Size([2, 1, 2, 4])
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (64, 128, 256, 512),
        kernel_size: int = 4,
        stride: int | Sequence[int] = 2,
        padding: int = 1,
        negative_slope: float = 0.2,
        norm_cfg: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        name = type(self).__name__
        check_integer(f'{name}.in_channels', in_channels, 1)
        if channels != ():  # a single convolution
            check_sequence(f'{name}.channels', channels, check_integer, 1)
        check_integer(f'{name}.kernel_size', kernel_size, 1)
        check_integer(f'{name}.padding', padding, 0)
        check_number(f'{name}.negative_slope', negative_slope, '[0, 1]')
        self.in_channels = in_channels
        number = len(channels) + 1
        strides = list(stride) if isinstance(stride, Sequence) else [stride] * number
        check_sequence(f'{name}.stride', strides, check_integer, 1, length=number)
        self.least_size = 1  # of the input's sides, in pixels
        for each in reversed(strides):
            self.least_size = max(1, (self.least_size - 1) * each + kernel_size - 2 * padding)
        layers: list[nn.Module] = []
        for index, width in enumerate(channels):
            layers.append(nn.Conv2d(in_channels, width, kernel_size, strides[index], padding))
            if index and norm_cfg:
                layers.append(build_norm_layer(dict(norm_cfg), width)[1])
            layers.append(nn.LeakyReLU(negative_slope, inplace=True))
            in_channels = width
        layers.append(nn.Conv2d(in_channels, 1, kernel_size, strides[-1], padding))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Score each patch; higher scores mean target.

        Args:
            inputs: Shape (N, C, H, W).

        Returns:
            Shape (N, 1, h, w).

        Raises:
            ValueError: The input has another number of channels, or is too small.
        """
        if inputs.shape[1] != self.in_channels:
            raise ValueError(
                f'FCDiscriminator: expected {self.in_channels} channels, but got an input with '
                f'{inputs.shape[1]}; write in_channels={inputs.shape[1]} (in output space, the '
                'number of classes)'
            )
        if min(inputs.shape[2:]) < self.least_size:
            raise ValueError(
                f'FCDiscriminator: expected maps of at least {self.least_size} x {self.least_size} '
                f'pixels, but got {inputs.shape[2]} x {inputs.shape[3]}; write fewer `channels`, '
                'or a larger crop_size'
            )
        return self.layers(inputs)
