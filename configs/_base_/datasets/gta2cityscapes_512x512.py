# GTA5 -> Cityscapes in crops of 512x512, 2 source and 2 target images (CAMix, Sec. 4.2), no flip.
# `TrackPositions` records where each target crop was. Mixers with a spatial prior need it, other
# methods do not.
# Our choice: the target is resized to the size at which it is tested, as in DACS. The paper resizes
# "all images" to 1280x720; its code does not resize the target.
_base_ = ['./gta2cityscapes.py']
crop_size = (512, 512)

train_dataloader = dict(
    source=dict(
        batch_size=2,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(
                type='Resize',
                scale=_base_.source_scale,
                interpolation='bicubic',
                backend='pillow'),
            dict(type='RandomCrop', crop_size=crop_size),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        batch_size=2,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='Resize',
                scale=_base_.target_scale,
                interpolation='bicubic',
                backend='pillow'),
            dict(type='TrackPositions', height=512, width=1024),  # the prior's size
            dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),  # below 1: reads labels
            dict(type='PackUDAInputs')
        ])))
