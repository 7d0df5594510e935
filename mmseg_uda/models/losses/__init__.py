"""Losses and regularisers."""

from .adversarial_loss import AdversarialLoss
from .consistency_loss import ConsistencyLoss
from .entropy_loss import EntropyLoss
from .image_label_loss import ImageLabelLoss, ReconstructionLoss
from .pixel_cross_entropy import PixelCrossEntropyLoss, pixel_cross_entropy
from .self_attention_loss import SelfAttentionLoss

__all__ = [
    'AdversarialLoss',
    'ConsistencyLoss',
    'EntropyLoss',
    'ImageLabelLoss',
    'PixelCrossEntropyLoss',
    'ReconstructionLoss',
    'SelfAttentionLoss',
    'pixel_cross_entropy',
]
