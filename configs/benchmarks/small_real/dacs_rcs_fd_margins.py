# dacs_rcs_fd.py without labels in the margins: CamVid's car has no bonnet, so they are the borders.
_base_ = ['./dacs_rcs_fd.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='IgnoreMargins', top=0.03, bottom=0.03, left=0.015, right=0.015),
            dict(type='RandomCrop', crop_size=_base_.crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
