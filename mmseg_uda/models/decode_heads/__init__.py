"""Decode heads that MMSegmentation does not have."""

from .cross_domain_attention_head import CrossDomainAttentionHead
from .deeplabv2_head import DeepLabV2Head
from .fcn8s_head import FCN8sHead
from .lse_expansion_head import ActivationMaps, LSEExpansionHead, class_shares
from .regularized_head import RegularizedHead
from .self_attention_head import SelfAttentionHead
from .wrapping_head import class_scores

__all__ = [
    'ActivationMaps',
    'CrossDomainAttentionHead',
    'DeepLabV2Head',
    'FCN8sHead',
    'LSEExpansionHead',
    'RegularizedHead',
    'SelfAttentionHead',
    'class_scores',
    'class_shares',
]
