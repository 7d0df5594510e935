_base_ = [
    '../_base_/models/toy_mobilenetv2.py', '../_base_/datasets/toy_street.py',
    '../_base_/schedules/toy.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='CrossDomainAttentionHead',
            in_channels=160,
            # N(0, 0.01), the default, suits 2,048 channels; with few of them it mutes the features.
            init_cfg=dict(
                type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear'),
            classifier=_base_.model.decode_head)),
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    norm_statistics='target',
    channels_last=True,
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
