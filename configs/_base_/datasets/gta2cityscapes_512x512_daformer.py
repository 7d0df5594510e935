# GTA5 -> Cityscapes as in DAFormer: crops of 512x512 with flips, 2 source and 2 target images, rare
# class sampling of the source, OpenCV's bilinear resize. Images of GTA5 keep their
# ratio, as in MMSegmentation 0.x, and become 1280x704.
#   python tools/class_counts.py CONFIG work_dirs/class_counts/gta.npz
# IgnoreMargins: 15, 120, 15 and 15 pixels at this size (HRDA's general form; DAFormer's rows are the
# same). The borders of rectification and the bonnet of Cityscapes' car lie there.
_base_ = ['./gta2cityscapes.py']
source_scale = (1280, 720)
crop_size = (512, 512)

train_dataloader = dict(
    source=dict(
        batch_size=2,
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/gta.npz',
            temperature=0.01,
            min_pixels=3000,
            min_crop_ratio=0.5),
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
            dict(type='Resize', scale=_base_.target_scale, keep_ratio=True),
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
    dict(type='Resize', scale=_base_.target_scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
