# Cityscapes -> Dark Zurich by night as in HRDA: crops of 1024x1024 of the images at full size, and
# rare class sampling of the source; else as cityscapes2dark_zurich.py.
_base_ = ['./cityscapes2dark_zurich.py']
source_scale = (2048, 1024)
target_scale = (1920, 1080)
crop_size = (1024, 1024)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=source_scale, keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=target_scale, keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
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
train_dataloader = dict(
    source=dict(
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/cityscapes.npz',
            temperature=0.01,
            min_pixels=3000,
            min_crop_ratio=2.0),
        dataset=dict(pipeline=source_pipeline)),
    target=dict(
        dataset=dict(pipeline=target_pipeline)))
val_dataloader = dict(
    dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
