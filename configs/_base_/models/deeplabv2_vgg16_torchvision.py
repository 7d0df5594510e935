# As deeplabv2_vgg16_caffe.py, with torchvision's weights: ImageNet, RGB images of unit variance.
_base_ = ['./deeplabv2_vgg16_caffe.py']
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        init_cfg=dict(checkpoint='https://download.pytorch.org/models/vgg16-397923af.pth')))
