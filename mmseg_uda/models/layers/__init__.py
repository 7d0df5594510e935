"""Arithmetic shared by heads and methods."""

from .attention import attend, attention_map, channel_attend, cosine_attend, cosine_attention_map
from .cross_domain_attention import CrossDomainChannelAttention, CrossDomainSpatialAttention
from .discriminator_attention import DiscriminatorAttention
from .lse_pooling import lse_pool, pool_upsampled
from .self_attention import ClassAttention, SelfAttentionModule, class_attention

__all__ = [
    'ClassAttention',
    'CrossDomainChannelAttention',
    'CrossDomainSpatialAttention',
    'DiscriminatorAttention',
    'SelfAttentionModule',
    'attend',
    'attention_map',
    'channel_attend',
    'class_attention',
    'cosine_attend',
    'cosine_attention_map',
    'lse_pool',
    'pool_upsampled',
]
