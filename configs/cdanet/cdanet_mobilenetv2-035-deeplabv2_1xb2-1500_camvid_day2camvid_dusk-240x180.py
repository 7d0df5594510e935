_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py',
    '../_base_/datasets/camvid_day2camvid_dusk_pseudo.py', '../_base_/schedules/sgd_small.py',
    '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        # Running statistics over some 200 images, not 20: they decide at test time.
        backbone=dict(_base_.model.backbone, norm_cfg=dict(type='BN', momentum=0.01)),
        decode_head=dict(
            type='CrossDomainAttentionHead',
            in_channels=112,
            # N(0, 0.01), the default, suits 2,048 channels; with few of them it mutes the features.
            init_cfg=dict(
                type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear'),
            classifier=_base_.model.decode_head)),
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    norm_statistics='target',
    channels_last=True,
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            paramwise_cfg=dict(
                custom_keys={
                    'decode_head': dict(lr_mult=1.),
                    'decode_head.classifier': dict(lr_mult=10.)
                }))))
