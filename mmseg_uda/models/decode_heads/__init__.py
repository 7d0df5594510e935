"""Decode heads that MMSegmentation does not have."""

from .cross_domain_attention_head import CrossDomainAttentionHead
from .deeplabv2_head import DeepLabV2Head
from .fcn8s_head import FCN8sHead

__all__ = ['CrossDomainAttentionHead', 'DeepLabV2Head', 'FCN8sHead']
