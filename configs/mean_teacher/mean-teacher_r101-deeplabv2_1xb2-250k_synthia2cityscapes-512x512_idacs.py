# iDACS, from the target to the source. CAMix's paper has no such number; not trained by us.
_base_ = ['./mean-teacher_r101-deeplabv2_1xb2-250k_synthia2cityscapes-512x512.py']
model = dict(mixer=dict(type='ClassMix', direction='target2source'))
