# SegFormer-B0 of mmseg with its ImageNet weights; its cross entropy is averaged over the labelled
# pixels.
_base_ = ['mmseg::_base_/models/segformer_mit-b0.py']
model = dict(
    data_preprocessor=dict(size_divisor=1),
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
            'mit_b0_20220624-7e0fe6dd.pth')),
    decode_head=dict(
        norm_cfg=dict(_delete_=True, type='BN'),  # SyncBN on several devices
        loss_decode=dict(_delete_=True, type='PixelCrossEntropyLoss')))
