# SYNTHIA-RAND-CITYSCAPES -> Cityscapes. tools/dataset_converters/synthia.py prepares data/synthia.
# The network keeps 19 outputs. mIoU is the mean over SYNTHIA's 16 classes; mIoU_synthia13 leaves
# out wall, fence and pole.
_base_ = ['./gta2cityscapes.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
source_scale = (1280, 760)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=source_scale, interpolation='bicubic', backend='pillow'),
    dict(type='PackUDAInputs')
]

train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='SYNTHIADataset',
            data_root=data_root + 'synthia',
            ann_file='train.txt',
            data_prefix=dict(img_path='RGB', seg_map_path='GT/LABELS'),
            pipeline=source_pipeline)))

val_evaluator = dict(
    _delete_=True,
    type='SubsetIoUMetric',
    subsets=('synthia16', 'synthia13'),
    iou_metrics=['mIoU'])
test_evaluator = val_evaluator
