# DeepLab-v2 on EfficientNet-Lite0 of timm at output stride 16, with its ImageNet-1k weights: a small
# network for CPUs.
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
        init_cfg=dict(type='Pretrained', checkpoint='timm://tf_efficientnet_lite0.in1k')),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=320,
        in_index=-1,
        num_classes=19,
        loss_decode=dict(type='PixelCrossEntropyLoss')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
