# The network of AdaptSegNet (several levels) and ADVENT: a second classifier on layer3, which
# inference does not use.
_base_ = ['./deeplabv2_r101_caffe.py']
model = dict(
    backbone=dict(out_indices=(2, 3)),
    decode_head=dict(in_index=1),
    auxiliary_head=dict(
        type='DeepLabV2Head',
        in_channels=1024,
        in_index=0,
        num_classes=19,
        dilations=(6, 12, 18, 24),
        aspp_branches=4,
        align_corners=True,
        loss_decode=dict(type='PixelCrossEntropyLoss', loss_weight=0.1)))  # lambda_seg
