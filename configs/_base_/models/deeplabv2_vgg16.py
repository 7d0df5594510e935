# DeepLab-v2 with VGG-16: output stride 8, no batch norm, four-branch classifier.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=1,  # stack images without padding
    ),
    backbone=dict(
        type='VGG16DeepLab',
        fc_channels=1024,
        init_cfg=dict(  # fc6 and fc7 are initialised at random
            type='Pretrained',
            checkpoint='https://download.pytorch.org/models/vgg16-397923af.pth',
        ),
    ),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=1024,
        in_index=0,
        num_classes=19,
        dilations=(6, 12, 18, 24),
        aspp_branches=4,
        align_corners=True,
        loss_decode=dict(type='PixelCrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
