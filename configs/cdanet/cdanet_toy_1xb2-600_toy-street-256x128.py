_base_ = [
    '../_base_/models/toy_mobilenetv2.py', '../_base_/datasets/toy_street.py',
    '../_base_/schedules/toy.py', '../_base_/toy_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='CrossDomainAttentionHead',
            in_channels=160,
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
