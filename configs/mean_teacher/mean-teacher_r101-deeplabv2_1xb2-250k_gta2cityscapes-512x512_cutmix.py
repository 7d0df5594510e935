# CutMix: 48.7 mIoU in CAMix's paper (Table 2); not trained by us.
# Our choice: half of the image, as in French et al.
_base_ = ['./mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(mixer=dict(type='CutMix', ratio=0.5))
