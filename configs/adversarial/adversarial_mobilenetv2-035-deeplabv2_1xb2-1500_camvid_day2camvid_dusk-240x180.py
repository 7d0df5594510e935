_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py', '../_base_/datasets/camvid_day2camvid_dusk.py',
    '../_base_/schedules/sgd_small.py', '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    norm_statistics='target',
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
