_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py', '../_base_/datasets/synth_street2camvid_day.py',
    '../_base_/schedules/sgd_small.py', '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='DAST',
    segmentor=dict(
        _base_.model,
        type='AttendedSegmentor',
        segmentor_type='EncoderDecoder',
        # Running statistics, used at test time, over about 200 images instead of 20.
        backbone=dict(_base_.model.backbone, norm_cfg=dict(type='BN', momentum=0.01)),
        attention=dict(
            type='DiscriminatorAttention',
            attend_at='backbone.layer6.2',  # the last but one block, as in the ResNet of the paper
            discriminator=dict(
                type='FCDiscriminator', in_channels=56, channels=(28, 14, 7), kernel_size=3,
                stride=1))),
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    adversarial_loss=dict(
        type='AdversarialLoss', mode='least_squares', loss_weight=0.01, disc_weight=1.),
    norm_statistics='target',
    channels_last=True)
optim_wrapper = dict(
    optimizers={'student.attention': dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))})
