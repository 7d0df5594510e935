"""Networks that translate images between domains."""

from mmseg_uda.models.translation.cyclegan import CycleGAN
from mmseg_uda.models.translation.image_pool import ImagePool
from mmseg_uda.models.translation.resnet_generator import ResNetGenerator
from mmseg_uda.models.translation.semantic_consistency import SemanticConsistency

__all__ = ['CycleGAN', 'ImagePool', 'ResNetGenerator', 'SemanticConsistency']
