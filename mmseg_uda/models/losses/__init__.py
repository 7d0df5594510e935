"""Losses and regularisers."""

from mmseg_uda.models.losses.adversarial_loss import AdversarialLoss
from mmseg_uda.models.losses.consistency_loss import ConsistencyLoss
from mmseg_uda.models.losses.divergence import divergence
from mmseg_uda.models.losses.entropy_loss import EntropyLoss, entropy, self_information
from mmseg_uda.models.losses.feature_distance import FeatureDistance
from mmseg_uda.models.losses.image_label_loss import ImageLabelLoss, ReconstructionLoss
from mmseg_uda.models.losses.pixel_cross_entropy import PixelCrossEntropyLoss, pixel_cross_entropy
from mmseg_uda.models.losses.self_attention_loss import SelfAttentionLoss
from mmseg_uda.models.losses.symmetric_cross_entropy import (
    negative_log_likelihood,
    reverse_cross_entropy,
)

__all__ = [
    'AdversarialLoss',
    'ConsistencyLoss',
    'EntropyLoss',
    'FeatureDistance',
    'ImageLabelLoss',
    'PixelCrossEntropyLoss',
    'ReconstructionLoss',
    'SelfAttentionLoss',
    'divergence',
    'entropy',
    'negative_log_likelihood',
    'pixel_cross_entropy',
    'reverse_cross_entropy',
    'self_information',
]
