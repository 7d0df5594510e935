# hrda.py on images enlarged twice, as in the paper: the context has the resolution that the other
# methods see, the detail twice it.
_base_ = ['./hrda.py']
scale = (800, 600)
crop = (384, 512)
detail = (192, 256)
model = dict(
    segmentor=dict(detail_size=detail),
    regularizers=dict(feature_distance=dict(input_size=detail)))  # of the context
train_dataloader = dict(
    source=dict(
        sampling=dict(min_crop_ratio=2.0),  # four times the pixels
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=scale, interpolation='bicubic'),
            dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=scale, interpolation='bicubic'),
            dict(type='IgnoreMargins', top=0.03, bottom=0.03, left=0.015, right=0.015),
            dict(type='RandomCrop', crop_size=crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, interpolation='bicubic'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_cfg = dict(
    selection=dict(
        source=dict(dataloader=dict(dataset=dict(pipeline=test_pipeline))),
        unlabelled=dict(
            dataloader=dict(
                dataset=dict(
                    dataset=dict(pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(type='Resize', scale=scale, interpolation='bicubic'),
                        dict(type='PackSegInputs')
                    ]))))))
