"""Backbones that MMSegmentation does not have."""

from .resnet import CeilPoolResNet
from .vgg import VGG16FCN, VGG16DeepLab

__all__ = ['VGG16FCN', 'CeilPoolResNet', 'VGG16DeepLab']
