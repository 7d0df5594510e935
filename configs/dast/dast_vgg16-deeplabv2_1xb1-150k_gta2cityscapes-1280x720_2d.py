# +MSE+2D, two discriminators without attention: 37.2 mIoU in the paper (Table 3); not trained by
# us.
_base_ = ['./dast_vgg16-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py']
model = dict(segmentor=dict(attention=dict(attend=False)))
