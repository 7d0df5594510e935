# GTA5 -> Cityscapes as in HRDA: crops of 1024x1024 of the images at full size, GTA5's enlarged to
# 2560x1407; else as in DAFormer.
_base_ = ['./gta2cityscapes_512x512_daformer.py']
source_scale = (2560, 1440)
target_scale = (2048, 1024)
crop_size = (1024, 1024)

train_dataloader = dict(
    source=dict(
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/gta.npz',
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
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
