# Images of gta2cityscapes.py without labels, in random crops, to train a translation. Width 1024 and
# crops as in BDL.
_base_ = ['./gta2cityscapes.py']
source_scale = (1024, 562)
target_scale = (1024, 512)
crop_pipeline = [
    dict(type='RandomCrop', crop_size=(452, 452), cat_max_ratio=1.),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=source_scale, interpolation='bicubic', backend='pillow'), *crop_pipeline
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=target_scale, interpolation='bicubic', backend='pillow'), *crop_pipeline
]
train_dataloader = dict(
    source=dict(
        dataset=dict(data_prefix=dict(_delete_=True, img_path='images'), pipeline=source_pipeline)),
    target=dict(dataset=dict(pipeline=target_pipeline)))
val_dataloader = val_evaluator = test_dataloader = test_evaluator = None
