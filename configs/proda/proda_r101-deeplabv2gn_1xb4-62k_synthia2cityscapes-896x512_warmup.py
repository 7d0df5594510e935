# Warm-up of ProDA, an AdaptSegNet by least squares: 41.4 mIoU over 16 classes in the code's log.
# Not trained by us. Our choice: the discriminator has LeakyReLU throughout and 3x3 convolutions
# only; the code's has ReLU, and ends in a 1x1.
_base_ = [
    '../_base_/models/deeplabv2gn_r101.py', '../_base_/datasets/synthia2cityscapes_896x512.py',
    '../_base_/schedules/sgd_62k_proda.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    norm_statistics='frozen',
    discriminator=dict(type='FCDiscriminator', in_channels=19, kernel_size=3),
    adversarial_loss=dict(
        type='AdversarialLoss', mode='least_squares', loss_weight=0.01, disc_weight=1.0))
optim_wrapper = dict(
    optimizers=dict(
        student=dict(optimizer=dict(lr=2.5e-4)),
        discriminators=dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))))
# The target has the source's crops.
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='RandomResize',
                scale=(2200, 2200),
                ratio_range=(0.5, 1.5),
                keep_ratio=True,
                backend='pillow'),
            dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=1.),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackUDAInputs')
        ])))
