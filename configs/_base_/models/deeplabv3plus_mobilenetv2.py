# MobileNetV2 at output stride 16 with the head of DeepLabV3+, for benchmarks on a CPU. The head has
# group norm: its pooling branch would give batch norm two values per channel in a batch of two.
# ImageNet weights in MMSegmentation's names (conv1, layer{1..7}.{i}.conv.{j}): set MOBILENETV2 to
# the path of the file, or backbone.init_cfg.checkpoint to any other.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=1),
    backbone=dict(
        type='MobileNetV2',
        widen_factor=1.0,
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type='BN', momentum=0.01, requires_grad=True),
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$MOBILENETV2:checkpoints/mobilenetv2_imagenet.pth}}')),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=320,
        in_index=3,
        channels=128,
        c1_in_channels=24,
        c1_channels=32,
        dilations=(1, 3, 6, 9),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type='GN', num_groups=16, requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='PixelCrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
