# tools/spatial_prior.py, or the pipeline, makes the spatial prior. Warm-up and ramp take the same
# shares of the training as on GTA5, 110k and 130k of 250k.
_base_ = ['../mean_teacher/mean-teacher_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='TrackPositions', height=180, width=240),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(
    mixer=dict(
        type='ContextMix',
        prior='work_dirs/spatial_prior/camvid_day2camvid_dusk.npz',
        # light -> pole; sign -> pole; pole -> light, sign; rider -> bicycle, motorcycle
        meta_classes={6: (5, ), 7: (5, ), 5: (6, 7), 12: (18, 17)},
        warmup_iters=660),
    significance=dict(type='EntropySignificance', ramp_iters=780),
    consistency=dict(normalize='significance'))
