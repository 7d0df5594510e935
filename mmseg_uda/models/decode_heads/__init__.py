"""Decode heads that MMSegmentation does not have."""

from mmseg_uda.models.decode_heads.aspp_gn_head import ASPPGNHead
from mmseg_uda.models.decode_heads.cross_domain_attention_head import CrossDomainAttentionHead
from mmseg_uda.models.decode_heads.daformer_head import DAFormerHead
from mmseg_uda.models.decode_heads.deeplabv2_head import DeepLabV2Head
from mmseg_uda.models.decode_heads.fcn8s_head import FCN8sHead
from mmseg_uda.models.decode_heads.lse_expansion_head import (
    ActivationMaps,
    LSEExpansionHead,
    class_shares,
)
from mmseg_uda.models.decode_heads.multi_resolution_head import MultiResolutionHead
from mmseg_uda.models.decode_heads.regularized_head import RegularizedHead
from mmseg_uda.models.decode_heads.self_attention_head import SelfAttentionHead
from mmseg_uda.models.decode_heads.vfm_uda_head import VFMUDAHead
from mmseg_uda.models.decode_heads.wrapping_head import raw_logits

__all__ = [
    'ASPPGNHead',
    'ActivationMaps',
    'CrossDomainAttentionHead',
    'DAFormerHead',
    'DeepLabV2Head',
    'FCN8sHead',
    'LSEExpansionHead',
    'MultiResolutionHead',
    'RegularizedHead',
    'SelfAttentionHead',
    'VFMUDAHead',
    'class_shares',
    'raw_logits',
]
