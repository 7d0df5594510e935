# Masked image consistency on daformer.py, as in ../../mic: blocks of 16 pixels keep their share of
# the crop, 32 of 512.
_base_ = ['./daformer.py']
model = dict(
    type='MIC',
    mask=dict(type='BlockMask', block_size=16, ratio=0.7),
    mask_augment=dict(type='StrongAugment'))
