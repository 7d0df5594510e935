# GTA5 -> Cityscapes as in VFM-UDA: crops of 1024x1024 with flips, 2 source and 2 target images per
# process, from images resized to a short side of 1440 and 1024, times 0.9 to 1.1. Crops of lower
# images are padded. Rare class sampling of the source:
#   python tools/class_counts.py CONFIG work_dirs/class_counts/gta.npz
# IgnoreMargins: the borders of rectification and the bonnet of Cityscapes' car.
_base_ = ['./gta2cityscapes.py']
source_scale = (2621, 1440)
target_scale = (2048, 1024)
crop_size = (1024, 1024)

train_dataloader = dict(
    source=dict(
        batch_size=2,
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/gta.npz',
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
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='IgnoreMargins', top=0.03, bottom=0.25, left=0.03, right=0.03),
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
