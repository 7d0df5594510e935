# VFM-UDA's network: DINOv2-B of timm on images resized by 1.1 to whole patches (1024 to 1120, 512 to
# 560), and a head that brings its last normed tokens to four times their size. The weights are Meta's
# (Apache-2.0). With registers: model_name='vit_base_patch14_reg4_dinov2' and the same in checkpoint.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(1024, 1024)),  # smaller crops are padded
    backbone=dict(
        type='TimmFeatures',
        model_name='vit_base_patch14_dinov2',
        out_indices=(-1, ),
        norm=True,
        input_scale=1.1,
        dynamic_img_size=True,
        init_cfg=dict(type='Pretrained', checkpoint='timm://vit_base_patch14_dinov2.lvd142m')),
    decode_head=dict(type='VFMUDAHead', in_channels=768, num_classes=19),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512)))
