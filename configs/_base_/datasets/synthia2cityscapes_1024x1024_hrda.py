# SYNTHIA -> Cityscapes as in HRDA: crops of 1024x1024 of the images at full size, SYNTHIA's enlarged
# to 2560x1520; else as in DAFormer.
_base_ = ['./synthia2cityscapes.py']
source_scale = (2560, 1520)
target_scale = (2048, 1024)
crop_size = (1024, 1024)

train_dataloader = dict(
    source=dict(
        batch_size=2,
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/synthia.npz',
            temperature=0.01,
            min_pixels=3000,
            min_crop_ratio=2.0),  # of pixels twice as large as stored ones in height and width
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=source_scale, keep_ratio=True),
            dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        batch_size=2,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=target_scale, keep_ratio=True),
            dict(
                type='IgnoreMargins',
                top=30 / 1024,
                bottom=240 / 1024,
                left=30 / 2048,
                right=30 / 2048),
            dict(type='RandomCrop', crop_size=crop_size),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
# For test.py --tta: mmseg's scales, and flips.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(int(r * target_scale[0]), int(r * target_scale[1])),
                    keep_ratio=True) for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')]
        ])
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
