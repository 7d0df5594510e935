# VFM-UDA's network with DINOv2-L.
_base_ = ['./vfm_uda_dinov2-b.py']
model = dict(
    backbone=dict(
        model_name='vit_large_patch14_dinov2',
        init_cfg=dict(checkpoint='timm://vit_large_patch14_dinov2.lvd142m')),
    decode_head=dict(in_channels=1024))
