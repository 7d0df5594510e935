# As deeplabv2_r101_caffe.py, with torchvision's weights: ImageNet, RGB images of unit variance.
# Torchvision trained them with a bottleneck's stride in the 3x3 convolution; here it is in the
# first 1x1. One layer differs, layer2.0, because the other stages have stride 1 here.
_base_ = ['./deeplabv2_r101_caffe.py']
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='https://download.pytorch.org/models/resnet101-63fe2227.pth')))
