_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035_two_levels.py',
    '../_base_/datasets/synth_street2camvid_day.py', '../_base_/schedules/sgd_small.py',
    '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    auxiliary_weight=0.2,
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    norm_statistics='target',
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
optim_wrapper = dict(
    optimizers=dict(
        student=dict(paramwise_cfg=dict(custom_keys={'auxiliary_head': dict(lr_mult=10.)}))))
