# Cityscapes -> Dark Zurich as in VFM-UDA++: the crops of gta2cityscapes_1024x1024_vfm_uda.py, all
# target training images, of day and twilight too, and no margins.
#   python tools/class_counts.py CONFIG work_dirs/class_counts/cityscapes.npz
_base_ = ['./cityscapes2dark_zurich.py']
source_scale = (2048, 1024)
target_scale = (1821, 1024)
crop_size = (1024, 1024)

train_dataloader = dict(
    source=dict(
        batch_size=2,
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/cityscapes.npz',
            temperature=0.05,
            min_pixels=3000,
            min_crop_ratio=2.,
            retries=20),
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                type='RandomResize',
                scale=source_scale,
                ratio_range=(0.9, 1.1),
                keep_ratio=True),
            dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        batch_size=2,
        dataset=dict(data_prefix=dict(img_path='rgb_anon/train'), pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='RandomResize',
                scale=target_scale,
                ratio_range=(0.9, 1.1),
                keep_ratio=True),
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
