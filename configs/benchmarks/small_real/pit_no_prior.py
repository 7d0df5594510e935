# PIT of whole images, as in ../../pit, so that neither domain is cropped: an iteration reads 2.4 times
# the pixels of other methods' crops. A regression predicts the image-level labels. As printed, pooled
# scores begin at shares of 1/2, which flattens the target's maps.
_base_ = ['./pit_crops.py']
train_dataloader = dict(
    source=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])),
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadImageLabels', label_file='work_dirs/image_labels.npz'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
