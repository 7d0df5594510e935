# Contextual mixing and significance, as in ../../camix; four noisy passes instead of eight, for the
# time, with the noise of images in 0..255, 57 times the paper's on this scale: in either case all
# pixels are significant (docs/benchmarks/orders.md, 4). Warm-up and ramp take the same shares of the training as on GTA5, 110k and 130k of 250k.
_base_ = ['./dacs.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='TrackPositions', height=300, width=400),
            dict(type='RandomCrop', crop_size=_base_.crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(
    mixer=dict(
        _delete_=True,
        type='ContextMix',
        prior='work_dirs/spatial_prior/synth_street2camvid_day.npz',
        # light -> pole; sign -> pole; pole -> light, sign; rider -> bicycle, motorcycle
        meta_classes={6: (5, ), 7: (5, ), 5: (6, 7), 12: (18, 17)},
        warmup_iters=880),
    significance=dict(
        type='EntropySignificance', passes=4, noise_std=5.7, noise_clip=11.4, ramp_iters=1040),
    consistency=dict(normalize='significance'))
