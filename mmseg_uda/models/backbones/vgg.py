"""VGG-16 as DeepLab-v2 and FCN-8s use it."""

from __future__ import annotations

from typing import Any, ClassVar, Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.utils.arguments import check_integer, check_number, check_sequence

__all__ = ['VGG16FCN', 'VGG16DeepLab']

STAGE_CHANNELS = (64, 128, 256, 512, 512)
STAGE_CONVS = (2, 2, 3, 3, 3)


class VGG16(BaseModule):
    """The 13 convolutions of VGG-16, in five stages ``conv1`` ... ``conv5`` without pools.

    Every stage is a ``Sequential`` that ends in a ReLU, so that a hook can be attached by name.
    A state dict of torchvision's ``vgg16`` (keys ``features.N`` and ``classifier.N``) loads as it
    is, directly or through ``init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16')``.
    So does the Caffe network as pytorch-vgg published it (``vgg16-00b39a1b.pth``), whose fully
    connected layers have other numbers.

    Args:
        stage_channels: Width of each of the five stages.
        stage_dilations: Dilation of each stage's convolutions; the padding follows it.
        first_padding: Padding of the very first convolution.
        init_cfg: MMEngine's initialisation; He normal by default, which networks without
            normalisation need. With ``Pretrained``, layers that the file lacks keep PyTorch's
            default initialisation.
    """

    fully_connected: ClassVar[dict[str, str]] = {}
    """Layers that replace fully connected ones, by their names in torchvision and pytorch-vgg."""

    def __init__(
        self,
        stage_channels: Sequence[int] = STAGE_CHANNELS,
        stage_dilations: Sequence[int] = (1, 1, 1, 1, 1),
        first_padding: int = 1,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        key = f'{type(self).__name__}.stage_channels'
        check_sequence(key, stage_channels, check_integer, 1, length=len(STAGE_CONVS))
        in_channels = 3
        stages = zip(STAGE_CONVS, stage_channels, stage_dilations)
        for number, (num_convs, channels, dilation) in enumerate(stages, start=1):
            layers: list[nn.Module] = []
            for _ in range(num_convs):
                layers += [
                    nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation),
                    nn.ReLU(inplace=True),
                ]
                in_channels = channels
            self.add_module(f'conv{number}', nn.Sequential(*layers))
        self.conv1[0].padding = (first_padding, first_padding)

    @classmethod
    def torchvision_names(cls) -> dict[str, str]:
        """Map torchvision's layer names to ours, for example ``features.5`` to ``conv2.0``."""
        names, index = {}, 0
        for stage, num_convs in enumerate(STAGE_CONVS, start=1):
            for conv in range(num_convs):
                names[f'features.{index}'] = f'conv{stage}.{2 * conv}'
                index += 2  # a convolution and its ReLU
            index += 1  # the pool
        return {**names, **cls.fully_connected}

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self.adopt_weights(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def adopt_weights(self, state_dict: dict[str, Tensor], prefix: str = '') -> None:
        """Rename torchvision's keys in place and drop those that have no counterpart here."""
        if f'{prefix}features.0.weight' not in state_dict:
            return
        own_shapes = {key: value.shape for key, value in self.state_dict().items()}
        names = self.torchvision_names()
        for key in [key for key in state_dict if key.startswith(prefix)]:
            layer, _, kind = key[len(prefix) :].rpartition('.')
            if not layer.startswith(('features.', 'classifier.')):
                continue
            value = state_dict.pop(key)
            if layer in names:
                name = f'{names[layer]}.{kind}'
                # A fully connected layer is a convolution over the whole 7x7 map. A tensor of
                # another size keeps its shape, so that loading reports the mismatch.
                if value.numel() == own_shapes[name].numel():
                    value = value.reshape(own_shapes[name])
                state_dict[prefix + name] = value


@MODELS.register_module()
class VGG16DeepLab(VGG16):
    """VGG-16 of DeepLab-v2: output stride 8, no batch norm.

    pool4 and pool5 are removed, the convolutions of stage 5 have dilation 2, fc6 and fc7 are 3x3
    convolutions of dilation 4, each with a ReLU. Of torchvision's weights the stages are used;
    fc6 and fc7 have other shapes than the classifier's layers and start at random.

    Args:
        stage_channels: Width of each of the five stages.
        fc_channels: Width of fc6 and fc7, the channels of the output.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self,
        stage_channels: Sequence[int] = STAGE_CHANNELS,
        fc_channels: int = 1024,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        check_integer('VGG16DeepLab.fc_channels', fc_channels, 1)
        super().__init__(stage_channels, stage_dilations=(1, 1, 1, 1, 2), init_cfg=init_cfg)
        self.fc6 = nn.Conv2d(stage_channels[-1], fc_channels, 3, padding=4, dilation=4)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 3, padding=4, dilation=4)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Compute the features of fc7.

        Args:
            images: Shape (N, 3, H, W).

        Returns:
            One map of shape (N, fc_channels, H // 8, W // 8).
        """
        features = images
        for stage in (self.conv1, self.conv2, self.conv3):
            features = F.max_pool2d(stage(features), 2)
        features = self.conv5(self.conv4(features))
        for layer in (self.fc6, self.fc7):
            features = F.relu(layer(features), inplace=True)
        return (features,)


@MODELS.register_module()
class VGG16FCN(VGG16):
    """VGG-16 of FCN-8s, to be used with ``FCN8sHead``.

    The first convolution pads by 100, the pools round up, fc6 (7x7, no padding) and fc7 (1x1) are
    the classifier's fully connected layers as convolutions, with dropout of whole channels.
    Torchvision's weights initialise all of them, fc6 and fc7 included.

    Args:
        stage_channels: Width of each of the five stages.
        fc_channels: Width of fc6 and fc7.
        dropout_ratio: Dropout after fc6 and after fc7.
        init_cfg: MMEngine's initialisation.
    """

    fully_connected: ClassVar[dict[str, str]] = {
        **{'classifier.0': 'fc6', 'classifier.3': 'fc7'},
        **{'classifier.1': 'fc6', 'classifier.4': 'fc7'},  # of pytorch-vgg
    }

    def __init__(
        self,
        stage_channels: Sequence[int] = STAGE_CHANNELS,
        fc_channels: int = 4096,
        dropout_ratio: float = 0.5,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        check_integer('VGG16FCN.fc_channels', fc_channels, 1)
        check_number('VGG16FCN.dropout_ratio', dropout_ratio, '[0, 1]')
        super().__init__(stage_channels, first_padding=100, init_cfg=init_cfg)
        self.fc6 = nn.Conv2d(stage_channels[-1], fc_channels, 7)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.dropout = nn.Dropout2d(dropout_ratio)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the maps that FCN-8s fuses.

        Args:
            images: Shape (N, 3, H, W).

        Returns:
            pool3, pool4 and fc7 (strides 8, 16, 32; larger than the image because of the padding),
            and a view of the images without channels, shape (N, 0, H, W), for their size, to which
            the head crops: that of the padded maps does not determine it.
        """
        features, pools = images, []
        for stage in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            features = F.max_pool2d(stage(features), 2, ceil_mode=True)
            pools.append(features)
        for layer in (self.fc6, self.fc7):
            features = self.dropout(F.relu(layer(features), inplace=True))
        return pools[2], pools[3], features, images[:, :0]
