# GTA5 -> Cityscapes, without flip, crop or colour jitter.
# Pillow resizes, as in the code of DAST and CAMix: its bicubic kernel grows when it shrinks an
# image. OpenCV's stays at 4x4 pixels and aliases, but takes 2 ms of one core for an image of GTA5
# instead of 36. The same key makes Pillow resize the labels.
# tools/dataset_converters/gta.py prepares data/gta: it writes the labels and train.txt.
# tools/dataset_converters/cityscapes.py prepares data/cityscapes.
# To train on source images in the target's style, which have the names of the originals:
#   --cfg-options train_dataloader.source.dataset.data_prefix.img_path=images_translated
data_root = '{{$MMSEG_UDA_DATA:data}}/'
source_scale = (1280, 720)
target_scale = (1024, 512)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=source_scale, interpolation='bicubic', backend='pillow'),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=target_scale, interpolation='bicubic', backend='pillow'),
    dict(type='PackUDAInputs')
]
# Labels are loaded after Resize, so that predictions are scored at full resolution.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=target_scale, interpolation='bicubic', backend='pillow'),
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
                    interpolation='bicubic',
                    backend='pillow')
                for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')]
        ])
]

train_dataloader = dict(
    source=dict(
        batch_size=1,
        num_workers=4,
        persistent_workers=True,
        dataset=dict(
            type='GTADataset',
            data_root=data_root + 'gta',
            ann_file='train.txt',
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            pipeline=source_pipeline)),
    target=dict(
        batch_size=1,
        num_workers=4,
        persistent_workers=True,
        dataset=dict(
            type='CityscapesDataset',
            data_root=data_root + 'cityscapes',
            data_prefix=dict(img_path='leftImg8bit/train'),
            pipeline=target_pipeline)))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root=data_root + 'cityscapes',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
