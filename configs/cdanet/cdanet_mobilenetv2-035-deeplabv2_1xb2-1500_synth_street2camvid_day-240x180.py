_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py',
    '../_base_/datasets/synth_street2camvid_day_pseudo.py', '../_base_/schedules/sgd_small.py',
    '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        # Running statistics, used at test time, over about 200 images instead of 20.
        backbone=dict(_base_.model.backbone, norm_cfg=dict(type='BN', momentum=0.01)),
        decode_head=dict(
            type='CrossDomainAttentionHead',
            in_channels=112,
            # The default, N(0, 0.01), shrinks features of so few channels. CD-CAM keeps it: its
            # energies are sums over all positions, and its gradient explodes if they are large.
            init_cfg=dict(
                type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear',
                override=dict(name='conv_channel', type='Normal', std=0.01)),
            classifier=_base_.model.decode_head)),
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    norm_statistics='target',
    channels_last=True,
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
# Up to six cross entropies add up, hence a smaller rate for the classifier and clipped gradients.
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            clip_grad=dict(max_norm=10.),
            paramwise_cfg=dict(
                custom_keys={
                    'decode_head': dict(lr_mult=0.4),
                    'decode_head.classifier': dict(lr_mult=2.)
                }))))
