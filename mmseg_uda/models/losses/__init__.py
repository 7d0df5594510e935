"""Losses and regularisers."""

from .adversarial_loss import AdversarialLoss
from .consistency_loss import ConsistencyLoss
from .entropy_loss import EntropyLoss
from .pixel_cross_entropy import PixelCrossEntropyLoss, pixel_cross_entropy
from .self_attention_loss import SelfAttentionLoss

__all__ = [
    'AdversarialLoss', 'ConsistencyLoss', 'EntropyLoss', 'PixelCrossEntropyLoss',
    'SelfAttentionLoss', 'pixel_cross_entropy'
]
