# One unit, r = 1.5: 45.7 mIoU in the paper (Table 3); not trained by us.
_base_ = ['./pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py']
model = dict(segmentor=dict(auxiliary_head=dict(r=(1.5, ))))
