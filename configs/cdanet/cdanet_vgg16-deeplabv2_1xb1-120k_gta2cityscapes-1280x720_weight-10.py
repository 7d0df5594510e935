# lambda = xi = 10: 40.6 mIoU in the paper (Table 5); not trained by us.
_base_ = ['./cdanet_vgg16-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(segmentor=dict(decode_head=dict(spatial_weight=10.0, channel_weight=10.0)))
