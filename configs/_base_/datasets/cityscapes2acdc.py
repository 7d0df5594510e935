# Cityscapes -> ACDC (fog, night, rain and snow) in crops of 512x512, 2 + 2 images, as DAFormer's
# code: source at 1024x512, target at 960x540. The archives are unpacked as they are:
#   acdc/rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png
#   acdc/gt/<condition>/<split>/<sequence>/*_gt_labelTrainIds.png
# tools/dataset_converters/cityscapes.py prepares data/cityscapes.
data_root = '{{$MMSEG_UDA_DATA:data}}/'
source_scale = (1024, 512)
target_scale = (960, 540)
crop_size = (512, 512)
conditions = ('fog', 'night', 'rain', 'snow')

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
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),  # below 1: reads labels
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
        batch_size=2,
        num_workers=4,
        persistent_workers=True,
        dataset=dict(
            type='CityscapesDataset',
            data_root=data_root + 'cityscapes',
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
            pipeline=source_pipeline)),
    target=dict(
        batch_size=2,
        num_workers=4,
        persistent_workers=True,
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(
                    type='StreetDataset',
                    data_root=data_root + 'acdc',
                    data_prefix=dict(img_path=f'rgb_anon/{condition}/train'),
                    img_suffix='_rgb_anon.png',
                    pipeline=target_pipeline) for condition in conditions
            ])))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='StreetDataset',
                data_root=data_root + 'acdc',
                data_prefix=dict(
                    img_path=f'rgb_anon/{condition}/val', seg_map_path=f'gt/{condition}/val'),
                img_suffix='_rgb_anon.png',
                seg_map_suffix='_gt_labelTrainIds.png',
                pipeline=test_pipeline) for condition in conditions
        ]))
test_dataloader = val_dataloader

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
