# Images of synth_street2camvid_day.py without labels, in random crops, to train a translation.
_base_ = ['./synth_street2camvid_day.py']
crop_size = (128, 128)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackUDAInputs')
]
train_dataloader = dict(
    source=dict(
        batch_size=1,
        dataset=dict(data_prefix=dict(_delete_=True, img_path='images/train'), pipeline=pipeline)),
    target=dict(batch_size=1, dataset=dict(pipeline=pipeline)))
val_dataloader = val_evaluator = test_dataloader = test_evaluator = None
