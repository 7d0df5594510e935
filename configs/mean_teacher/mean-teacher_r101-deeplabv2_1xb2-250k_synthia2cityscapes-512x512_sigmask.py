# Mean teacher with the significance mask, no mixing: 47.1 mIoU over 13 classes in CAMix's paper
# (Table 6); not trained by us.
_base_ = ['./mean-teacher_r101-deeplabv2_1xb2-250k_synthia2cityscapes-512x512.py']
model = dict(
    significance=dict(
        type='EntropySignificance',
        passes=8,  # N, Sec. 4.2
        noise_std=5.7,  # 0.1 of a deviation of some 57, as in camix_*.py
        noise_clip=11.4,
        ramp_iters=10000),  # the published code's
    consistency=dict(normalize='significance'))  # Eq. (9)
