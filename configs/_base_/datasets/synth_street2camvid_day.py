# Procedural street scenes -> CamVid by day. Images are 480x360; labels are PNGs of train ids, with
# 11 of the 19 classes. Training is at `scale`; predictions are scored at full resolution.
data_root = '{{$MMSEG_UDA_DATA:data}}/'
scale = (240, 180)  # half resolution, for a CPU

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=scale, interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, interpolation='bicubic'),
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
                    scale=(int(r * scale[0]), int(r * scale[1])),
                    interpolation='bicubic')
                for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')]
        ])
]

train_dataloader = dict(
    source=dict(
        batch_size=2,
        num_workers=1,
        persistent_workers=True,
        dataset=dict(
            type='CityscapesDataset',
            data_root=data_root + 'synth_street',
            data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
            img_suffix='.jpg',
            seg_map_suffix='.png',
            pipeline=source_pipeline)),
    target=dict(
        batch_size=2,
        num_workers=1,
        persistent_workers=True,
        dataset=dict(
            type='CityscapesDataset',
            data_root=data_root + 'camvid_day',
            data_prefix=dict(img_path='images/train'),
            img_suffix='.jpg',
            pipeline=target_pipeline)))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root=data_root + 'camvid_day',
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='SubsetIoUMetric', subsets='camvid11', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
