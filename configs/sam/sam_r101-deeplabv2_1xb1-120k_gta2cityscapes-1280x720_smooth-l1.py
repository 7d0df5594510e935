# Smooth l1: the text lost which norm the 50.7 mIoU of Table A.5 are of; not trained by us.
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(regularizers=dict(sam=dict(loss_type='smooth_l1')))
