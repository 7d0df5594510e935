# DeepLab-v2 with VGG-16: output stride 8, no batch norm, four-branch classifier.
# The weights are Simonyan's, by Caffe, as in AdaptSegNet, BDL and DAST's code: ImageNet, BGR images
# in [0, 255] less a mean, without division. If the address is gone, set
# backbone.init_cfg.checkpoint to a copy.
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
        type='VGG16DeepLab',
        fc_channels=1024,
        init_cfg=dict(  # fc6 and fc7 are initialised at random
            type='Pretrained',
            checkpoint='https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth',
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
