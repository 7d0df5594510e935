# The network of ProDA: DeepLab-v2 with ResNet-101 whose classifier has group norm. Batch norm
# trains its affine parameters. Weights are torchvision's; images are RGB in [0, 1].
_base_ = ['./deeplabv2_r101_caffe.py']
model = dict(
    data_preprocessor=dict(mean=[0.] * 3, std=[255.] * 3, bgr_to_rgb=True),
    backbone=dict(
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='https://download.pytorch.org/models/resnet101-63fe2227.pth')),
    decode_head=dict(
        _delete_=True,
        type='ASPPGNHead',
        in_channels=2048,
        in_index=0,
        channels=256,
        num_classes=19,
        dilations=(6, 12, 18, 24),
        align_corners=True,
        loss_decode=dict(type='PixelCrossEntropyLoss')))
