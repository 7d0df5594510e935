# CD-CAM alone: 43.6 mIoU in the paper (Table 3); not trained by us.
_base_ = ['./cdanet_vgg16-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(segmentor=dict(decode_head=dict(spatial_weight=None)))
