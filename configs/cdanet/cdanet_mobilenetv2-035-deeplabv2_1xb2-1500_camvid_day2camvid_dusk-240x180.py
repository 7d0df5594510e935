_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py',
    '../_base_/datasets/camvid_day2camvid_dusk_pseudo.py', '../_base_/schedules/sgd_small.py',
    '../_base_/default_runtime.py'
]
segmentor = _base_.model
segmentor.decode_head = dict(
    type='CrossDomainAttentionHead',
    in_channels=112,
    spatial_weight=1.0,
    channel_weight=1.0,
    test_context='self',
    classifier=_base_.model.decode_head)
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=segmentor,
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
