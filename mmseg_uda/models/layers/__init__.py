"""Arithmetic shared by heads and methods."""

from .attention import attend, attention_map, channel_attend
from .cross_domain_attention import CrossDomainChannelAttention, CrossDomainSpatialAttention

__all__ = [
    'CrossDomainChannelAttention', 'CrossDomainSpatialAttention', 'attend', 'attention_map',
    'channel_attend'
]
