# CowMix: 48.3 mIoU in CAMix's paper (Table 2); not trained by us.
# Our choice: half of the image on average, in blobs smoothed by 8 to 32 pixels.
_base_ = ['./mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(mixer=dict(type='CowMix', sigma=(8., 32.), ratio=0.5))
