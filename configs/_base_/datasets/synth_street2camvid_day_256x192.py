# synth_street -> camvid_day for benchmarks: crops of 256x192 from images of 400x300. Three sets are
# validated on: the target's validation split, that of the source, and unlabelled target images.
_base_ = ['./synth_street2camvid_day.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
scale = (400, 300)
crop = (192, 256)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=scale, interpolation='bicubic'),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, interpolation='bicubic'),
    dict(type='RandomCrop', crop_size=crop),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, interpolation='bicubic'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    source=dict(dataset=dict(pipeline=source_pipeline)),
    target=dict(dataset=dict(pipeline=target_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(per_class=True)
test_evaluator = val_evaluator

# Per cent of the source's labelled pixels; classes of Cityscapes that CamVid lacks have none.
source_shares = [34.26, 7.0, 26.61, 0, 0.16, 1.86, 0, 0.67, 4.61, 0,
    16.54, 0.61, 0.29, 7.38, 0, 0, 0, 0, 0]
val_cfg = dict(
    type='SelectionValLoop',
    selection=dict(
        source=dict(
            dataloader=dict(
                batch_size=1,
                num_workers=1,
                dataset=dict(
                    type='CityscapesDataset',
                    data_root=data_root + 'synth_street',
                    data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
                    img_suffix='.jpg',
                    seg_map_suffix='.png',
                    pipeline=test_pipeline))),
        # Every fifth training image of the target.
        unlabelled=dict(
            dataloader=dict(
                batch_size=2,
                num_workers=1,
                dataset=dict(
                    type='MirroredViews',
                    dataset=dict(
                        type='CityscapesDataset',
                        data_root=data_root + 'camvid_day',
                        data_prefix=dict(img_path='images/train'),
                        img_suffix='.jpg',
                        indices=[*range(0, 305, 5)],
                        pipeline=[
                            dict(type='LoadImageFromFile'),
                            dict(type='Resize', scale=scale, interpolation='bicubic'),
                            dict(type='PackSegInputs')
                        ]))),
            evaluator=dict(type='LabelFreeMetric', source_shares=source_shares))))
