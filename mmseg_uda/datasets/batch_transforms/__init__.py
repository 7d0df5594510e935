"""Transforms of a whole batch on the device: mixing of domains, strong augmentation."""

from mmseg_uda.datasets.batch_transforms.base import BatchTransform, draw
from mmseg_uda.datasets.batch_transforms.block_mask import BlockMask
from mmseg_uda.datasets.batch_transforms.class_mix import ClassMix
from mmseg_uda.datasets.batch_transforms.context_mix import ContextMix
from mmseg_uda.datasets.batch_transforms.cow_mix import CowMix
from mmseg_uda.datasets.batch_transforms.cut_mix import CutMix
from mmseg_uda.datasets.batch_transforms.mixer import Mixer, paste
from mmseg_uda.datasets.batch_transforms.rand_augment import RandAugment, build_views
from mmseg_uda.datasets.batch_transforms.strong_augment import StrongAugment
from mmseg_uda.datasets.batch_transforms.view import RandomView, View

__all__ = [
    'BatchTransform',
    'BlockMask',
    'ClassMix',
    'ContextMix',
    'CowMix',
    'CutMix',
    'Mixer',
    'RandAugment',
    'RandomView',
    'StrongAugment',
    'View',
    'build_views',
    'draw',
    'paste',
]
