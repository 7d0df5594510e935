# As synthia2cityscapes.py, with PIT's batch size 4 (Sec. 5.2); SYNTHIA's "resolution remains
# unchanged". tools/train_image_labels.py writes the target's image-level labels. For another file:
#   --cfg-options train_dataloader.target.dataset.pipeline.1.label_file=FILE
# Our choices: "batch size 4" is 4 images of each domain; SYNTHIA's images stay at 1280x760, their
# size, where the paper prints a height of 960.
_base_ = ['./gta2cityscapes.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
source_scale = (1280, 760)

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=source_scale, interpolation='bicubic', backend='pillow'),
    dict(type='PackUDAInputs')
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadImageLabels', label_file='work_dirs/image_labels/synthia2cityscapes.npz'),
    dict(type='Resize', scale=_base_.target_scale, interpolation='bicubic', backend='pillow'),
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
