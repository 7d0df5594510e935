# Eq. (8) with (11): 50.3 mIoU in the paper (Table 1); not trained by us.
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(regularizers=dict(sam=dict(domains=('target', ))))
