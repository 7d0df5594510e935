# FCN-8s with VGG-16. The pretrained weights include fc6 and fc7; the bilinear upsampling is frozen.
# The weights are Simonyan's, by Caffe, as in BDL and the first FCN-8s: ImageNet, BGR images in
# [0, 255] less a mean, without division. If the address is gone, set backbone.init_cfg.checkpoint
# to a copy, or to vgg16_from_caffe.pth of pytorch-fcn, which holds the same weights.
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
        type='VGG16FCN',
        fc_channels=4096,
        dropout_ratio=0.5,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth',
        ),
    ),
    decode_head=dict(
        type='FCN8sHead',
        in_channels=(256, 512, 4096),
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type='PixelCrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
