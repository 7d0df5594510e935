_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py',
    '../_base_/datasets/synth_street2camvid_day.py', '../_base_/schedules/sgd_small.py',
    '../_base_/small_runtime.py'
]
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadImageLabels', label_file='work_dirs/image_labels/synth_street2camvid_day.npz'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
model = dict(
    _delete_=True,
    type='PIT',
    segmentor=dict(
        _base_.model,
        # Running statistics, used at test time, over about 200 images instead of 20.
        backbone=dict(_base_.model.backbone, norm_cfg=dict(type='BN', momentum=0.01)),
        auxiliary_head=dict(
            type='LSEExpansionHead',
            unit=_base_.model.decode_head,
            r=(0.5, 1., 1.5),
            loss_decode=dict(type='ImageLabelLoss', loss_weight=0.5),
            loss_reconstruction=dict(type='ReconstructionLoss', loss_weight=0.5))),
    norm_statistics='target',
    channels_last=True)
# The losses of four classifiers add up, hence a smaller rate for them and clipped gradients.
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            _base_.optim_wrapper.optimizers.student,
            clip_grad=dict(max_norm=10.),
            paramwise_cfg=dict(
                custom_keys={
                    'decode_head': dict(lr_mult=4.),
                    'auxiliary_head': dict(lr_mult=4.)
                }))))
