"""Backbones that MMSegmentation does not have."""

from mmseg_uda.models.backbones.resnet import CeilPoolResNet
from mmseg_uda.models.backbones.timm_features import TimmFeatures
from mmseg_uda.models.backbones.vgg import VGG16FCN, VGG16DeepLab

__all__ = ['VGG16FCN', 'CeilPoolResNet', 'TimmFeatures', 'VGG16DeepLab']
