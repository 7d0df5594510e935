"""Attention and pooling, shared by heads and methods."""

from mmseg_uda.models.layers.attention import (
    attend,
    attention_map,
    channel_attend,
    channel_attend_both,
    cosine_attend,
    cosine_attention_map,
)
from mmseg_uda.models.layers.cross_domain_attention import (
    CrossDomainChannelAttention,
    CrossDomainSpatialAttention,
)
from mmseg_uda.models.layers.discriminator_attention import DiscriminatorAttention
from mmseg_uda.models.layers.lse_pooling import lse_pool, pool_upsampled
from mmseg_uda.models.layers.precision import widen
from mmseg_uda.models.layers.prototypes import (
    class_means,
    moving_average,
    prototype_distances,
    running_mean,
)
from mmseg_uda.models.layers.self_attention import SelfAttentionModule

__all__ = [
    'CrossDomainChannelAttention',
    'CrossDomainSpatialAttention',
    'DiscriminatorAttention',
    'SelfAttentionModule',
    'attend',
    'attention_map',
    'channel_attend',
    'channel_attend_both',
    'class_means',
    'cosine_attend',
    'cosine_attention_map',
    'lse_pool',
    'moving_average',
    'pool_upsampled',
    'prototype_distances',
    'running_mean',
    'widen',
]
