# SYNTHIA -> Cityscapes as gta2cityscapes_1024x1024_vfm_uda.py; both have a short side of 1024.
#   python tools/class_counts.py CONFIG work_dirs/class_counts/synthia.npz
_base_ = ['./gta2cityscapes_1024x1024_vfm_uda.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
train_dataloader = dict(
    source=dict(
        sampling=dict(class_counts='work_dirs/class_counts/synthia.npz'),
        dataset=dict(
            _delete_=True,
            type='SYNTHIADataset',
            data_root=data_root + 'synthia',
            ann_file='train.txt',
            data_prefix=dict(img_path='RGB', seg_map_path='GT/LABELS'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(
                    type='RandomResize',
                    scale=(1725, 1024),
                    ratio_range=(0.9, 1.1),
                    keep_ratio=True),
                dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackUDAInputs')
            ])))
val_evaluator = dict(
    _delete_=True,
    type='SubsetIoUMetric',
    subsets=('synthia16', 'synthia13'),
    iou_metrics=['mIoU'])
test_evaluator = val_evaluator
