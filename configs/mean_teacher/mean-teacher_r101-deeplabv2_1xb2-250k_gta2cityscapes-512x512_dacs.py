# DACS: 52.1 mIoU in CAMix's paper (Table 2); not trained by us.
_base_ = ['./mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(mixer=dict(type='ClassMix', direction='source2target'))
