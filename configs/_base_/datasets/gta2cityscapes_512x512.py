# GTA5 -> Cityscapes in crops of 512x512, 2 + 2 (CAMix, Sec. 4.2). `prior_positions` says where the
# target's crops were, for mixers with a spatial prior; others leave it alone. No flip.
# Our choice: "all images" are resized to 1280x720 in the paper, and the target not at all in its
# code; here the target has the size at which it is tested, as in DACS.
_base_ = ['./gta2cityscapes.py']
crop_size = (512, 512)

train_dataloader = dict(
    source=dict(
        batch_size=2,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=_base_.source_scale, interpolation='bicubic'),
            dict(type='RandomCrop', crop_size=crop_size),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        batch_size=2,
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=_base_.target_scale, interpolation='bicubic'),
            dict(type='TrackPositions', height=512, width=1024),  # the prior's size
            dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),  # looks at no label
            dict(type='PackUDAInputs')
        ])))
