# DAFormer's head on ConvNeXt-T of timm, with its ImageNet-1k weights.
_base_ = ['./daformer_mit-b5.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='TimmFeatures',
        model_name='convnext_tiny',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='timm://convnext_tiny.fb_in1k')),
    decode_head=dict(in_channels=[96, 192, 384, 768]))
