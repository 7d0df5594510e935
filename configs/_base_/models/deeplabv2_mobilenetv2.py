# A small network for runs on a CPU: MobileNetV2 with output stride 8, four-branch classifier.
# For weights from a local file set backbone.init_cfg.checkpoint. If the file's keys start with
# 'backbone.' (a classifier of MMPretrain), set backbone.init_cfg.prefix='backbone' too.
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
        type='MobileNetV2',
        widen_factor=1.0,
        strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, 2, 2, 4, 4),
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='mmcls://mobilenet_v2'),
    ),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=320,
        in_index=3,
        num_classes=19,
        dilations=(6, 12, 18, 24),
        aspp_branches=4,
        align_corners=True,
        loss_decode=dict(type='PixelCrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
