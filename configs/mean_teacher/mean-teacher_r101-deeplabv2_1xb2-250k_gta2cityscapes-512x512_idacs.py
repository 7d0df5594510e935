# iDACS, from the target to the source: 51.5 mIoU in CAMix's paper (Tables 2, 4); not trained by us.
_base_ = ['./mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(mixer=dict(type='ClassMix', direction='target2source'))
