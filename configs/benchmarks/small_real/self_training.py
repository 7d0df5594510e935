# A new network on the source and on pseudo labels, as in ../../self_training.
_base_ = ['./source_only.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir='work_dirs/pseudo_labels'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomCrop', crop_size=_base_.crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(type='SelfTraining', norm_statistics='target')
