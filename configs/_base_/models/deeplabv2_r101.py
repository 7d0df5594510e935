# DeepLab-v2 with ResNet-101: output stride 8, four-branch classifier.
# Batch norm freezes its affine parameters and uses batch statistics. The MSRA weights behind
# 'open-mmlab://detectron2/resnet101_caffe' do not fit this: their statistics are folded into the
# frozen affine parameters (running mean 0, variance 1), which is correct for norm_eval=True only.
# Torchvision trained its weights with a bottleneck's stride in the 3x3 convolution; here it is in
# the first 1x1. One layer differs, layer2.0, because the other stages have stride 1 here.
# The Caffe weights of AdaptSegNet and its successors (DeepLab_resnet_pretrained_init-f81d91e8.pth)
# load with init_cfg=dict(type='Pretrained', checkpoint=<path>, prefix='Scale') and
# data_preprocessor=dict(mean=[104.00698793, 116.66876762, 122.67891434], std=[1, 1, 1],
#                        bgr_to_rgb=False).
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
        type='CeilPoolResNet',
        depth=101,
        num_stages=4,
        out_indices=(3,),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=False,
        style='caffe',
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.pytorch.org/models/resnet101-63fe2227.pth',
        ),
    ),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=2048,
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
