# As gta2cityscapes_unlabelled.py, for SYNTHIA.
_base_ = ['./gta2cityscapes_unlabelled.py']
data_root = '{{$MMSEG_UDA_DATA:data}}/'
source_scale = (1024, 608)
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=source_scale, interpolation='bicubic', backend='pillow'),
    *_base_.crop_pipeline
]
train_dataloader = dict(
    source=dict(
        dataset=dict(
            _delete_=True,
            type='SYNTHIADataset',
            data_root=data_root + 'synthia',
            ann_file='train.txt',
            data_prefix=dict(img_path='RGB'),
            pipeline=source_pipeline)))
