# DeepLab-v2 with ResNet-101: output stride 8, four-branch classifier.
# The weights are those of AdaptSegNet, BDL and DAST's code: pretrained on ImageNet and MSCOCO
# (according to AdaptSegNet's authors; the papers say ImageNet). Their input is Caffe's: BGR images
# in [0, 255] less a mean, without division. The file's 21-class head, Scale.layer5, is not used.
# If the address is gone, set backbone.init_cfg.checkpoint to a copy.
# Batch norm freezes its affine parameters and uses batch statistics. The MSRA weights behind
# 'open-mmlab://detectron2/resnet101_caffe' do not fit this: their statistics are folded into the
# frozen affine parameters (running mean 0, variance 1), which is correct for norm_eval=True only.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[104.00698793, 116.66876762, 122.67891434],
        std=[1., 1., 1.],
        bgr_to_rgb=False,
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
            checkpoint='http://vllab.ucmerced.edu/ytsai/CVPR18/'
            'DeepLab_resnet_pretrained_init-f81d91e8.pth',
            prefix='Scale',  # the file's names without it are those of ResNet
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
