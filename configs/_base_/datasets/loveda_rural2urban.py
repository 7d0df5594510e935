# LoveDA, rural -> urban, tiles of 1024x1024 in crops of 512x512, 2 + 2 images. The archives are
# unpacked as they are: loveDA/{Train,Val}/{Rural,Urban}/{images_png,masks_png}/*.png
# Label 0 has no data and is ignored (`reduce_zero_label` of the dataset's class). Published code
# takes the target's Val images as its training set; here they are those of Train.
data_root = '{{$MMSEG_UDA_DATA:data}}/loveDA'
source = 'Rural'
target = 'Urban'
crop_size = (512, 512)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),  # below 1: reads labels
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
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
                dict(type='Resize', scale_factor=r, keep_ratio=True)
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
        num_workers=4,
        persistent_workers=True,
        dataset=dict(
            type='LoveDADataset',
            data_root=data_root,
            data_prefix=dict(
                img_path=f'Train/{source}/images_png', seg_map_path=f'Train/{source}/masks_png'),
            pipeline=source_pipeline)),
    target=dict(
        batch_size=2,
        num_workers=4,
        persistent_workers=True,
        dataset=dict(
            type='LoveDADataset',
            data_root=data_root,
            data_prefix=dict(img_path=f'Train/{target}/images_png'),
            pipeline=target_pipeline)))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='LoveDADataset',
        data_root=data_root,
        data_prefix=dict(
            img_path=f'Val/{target}/images_png', seg_map_path=f'Val/{target}/masks_png'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
