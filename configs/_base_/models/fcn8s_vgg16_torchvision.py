# As fcn8s_vgg16_caffe.py, with torchvision's weights: ImageNet, RGB images of unit variance.
# Their activations are about 57 times smaller than Caffe's. FCN-8s' factors of pool4 and pool3 fit
# Caffe's: with these weights the skips nearly vanish. Our guess of factors that fit, not tried:
#   --cfg-options model.segmentor.decode_head.pool4_scale=0.57 \
#       model.segmentor.decode_head.pool3_scale=0.0057
_base_ = ['./fcn8s_vgg16_caffe.py']
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        init_cfg=dict(checkpoint='https://download.pytorch.org/models/vgg16-397923af.pth')))
