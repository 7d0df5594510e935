_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py',
    '../_base_/datasets/synth_street2camvid_day_pseudo.py', '../_base_/schedules/sgd_small.py',
    '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='CrossDomainAttentionHead',
            in_channels=112,
            classifier=_base_.model.decode_head)),
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    norm_statistics='target',
    channels_last=True,
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
