# PIT on the crops of the other methods, whose classes have other shares than the whole image, of
# which the image-level label is: what that costs.
_base_ = ['./source_only.py']
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadImageLabels', label_file='work_dirs/image_labels.npz'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomCrop', crop_size=_base_.crop),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(
    type='PIT',
    segmentor=dict(
        auxiliary_head=dict(
            type='LSEExpansionHead',
            unit=_base_.model.segmentor.decode_head,
            r=(0.5, 1., 1.5),
            loss_decode=dict(type='ImageLabelLoss', loss_weight=0.5),
            loss_reconstruction=dict(type='ReconstructionLoss', loss_weight=0.5))),
    norm_statistics='target')
optim_wrapper = dict(
    optimizers=dict(
        student=dict(paramwise_cfg=dict(custom_keys={'auxiliary_head': dict(lr_mult=10.)}))))
