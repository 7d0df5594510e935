# As synthia2cityscapes.py, in PIT's number (Sec. 5.2): batch 4, SYNTHIA's "resolution remains
# unchanged". Which classes target images show comes from tools/train_image_labels.py. Another file:
#   --cfg-options train_dataloader.target.dataset.pipeline.1.label_file=FILE
# Our choice: "batch size 4" is 4 of each domain; SYNTHIA's images are 1280x760, not the printed 960.
_base_ = ['./gta2cityscapes.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
source_scale = (1280, 760)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=source_scale, interpolation='bicubic'),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadImageLabels', label_file='work_dirs/image_labels/synthia2cityscapes.npz'),
    dict(type='Resize', scale=_base_.target_scale, interpolation='bicubic'),
    dict(type='PackUDAInputs')
]

train_dataloader = dict(
    source=dict(
        batch_size=4,
        dataset=dict(
            _delete_=True,
            type='SYNTHIADataset',
            data_root=data_root + 'synthia',
            ann_file='train.txt',
            data_prefix=dict(img_path='RGB', seg_map_path='GT/LABELS'),
            pipeline=source_pipeline)),
    target=dict(batch_size=4, dataset=dict(pipeline=target_pipeline)))

val_evaluator = dict(
    _delete_=True,
    type='SubsetIoUMetric',
    subsets=('synthia16', 'synthia13'),
    iou_metrics=['mIoU'])
test_evaluator = val_evaluator
