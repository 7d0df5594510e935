# GTA5 -> Cityscapes as in ProDA's published code: source crops of 896x512 after a resize to a width
# of 1100 to 3300, whole target images of 2048x1024, from which the method cuts its views.
_base_ = ['./gta2cityscapes.py']
crop_size = (512, 896)
target_scale = (2048, 1024)

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=target_scale, backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(
                    type='Resize',
                    scale=(int(r * target_scale[0]), int(r * target_scale[1])),
                    backend='pillow') for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')]
        ])
]
train_dataloader = dict(
    source=dict(
        batch_size=4,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                type='RandomResize',
                scale=(2200, 2200),
                ratio_range=(0.5, 1.5),
                keep_ratio=True,
                backend='pillow'),
            dict(type='RandomCrop', crop_size=crop_size),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        batch_size=4,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=target_scale, backend='pillow'),
            dict(type='PackUDAInputs')
        ])))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
