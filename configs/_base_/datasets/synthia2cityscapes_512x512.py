# SYNTHIA-RAND-CITYSCAPES -> Cityscapes in crops of 512x512, 2 source and 2 target images: the
# datasets of synthia2cityscapes.py with the crops of gta2cityscapes_512x512.py.
_base_ = ['./gta2cityscapes.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
source_scale = (1280, 760)
crop_size = (512, 512)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=source_scale, interpolation='bicubic', backend='pillow'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=_base_.target_scale, interpolation='bicubic', backend='pillow'),
    dict(type='TrackPositions', height=512, width=1024),  # the prior's size
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),  # below 1: reads labels
    dict(type='PackUDAInputs')
]

train_dataloader = dict(
    source=dict(
        batch_size=2,
        dataset=dict(
            _delete_=True,
            type='SYNTHIADataset',
            data_root=data_root + 'synthia',
            ann_file='train.txt',
            data_prefix=dict(img_path='RGB', seg_map_path='GT/LABELS'),
            pipeline=source_pipeline)),
    target=dict(batch_size=2, dataset=dict(pipeline=target_pipeline)))

val_evaluator = dict(
    _delete_=True,
    type='SubsetIoUMetric',
    subsets=('synthia16', 'synthia13'),
    iou_metrics=['mIoU'])
test_evaluator = val_evaluator
