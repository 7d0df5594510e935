# Cosine: 48.5 mIoU in the paper (Table A.5); not trained by us.
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(regularizers=dict(sam=dict(loss_type='cosine')))
