# HRDA on DAFormer's network: half the resolution for the context, crops of 512x512 for the detail. The
# scale attention is DAFormer's head with a 1x1 convolution in place of branches and bottleneck. Tested
# in windows of 1024x1024.
_base_ = ['./daformer_mit-b5.py']
model = dict(
    type='MultiResolutionSegmentor',
    detail_size=(512, 512),
    slide_step=(256, 256),
    detail_weight=0.1,
    stride=4,
    attention=dict(_base_.model.decode_head, dilations=None),
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512)))
