# DAFormer's head on a pyramid of DINOv2-B: four blocks, brought to 4, 2, 1 and 1/2 times the size of
# the map of tokens by transposed convolutions and a max-pool.
_base_ = ['./vfm_uda_dinov2-b.py']
model = dict(
    backbone=dict(out_indices=(2, 5, 8, 11)),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=768,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type='BN')),
    decode_head=dict(
        _delete_=True,
        type='DAFormerHead',
        in_channels=[768, 768, 768, 768],
        num_classes=19,
        loss_decode=dict(type='PixelCrossEntropyLoss')))
