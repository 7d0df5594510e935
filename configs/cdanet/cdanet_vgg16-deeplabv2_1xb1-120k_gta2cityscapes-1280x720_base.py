# No attention: 41.3 mIoU in the paper (Table 3); not trained by us.
_base_ = [
    '../_base_/models/deeplabv2_vgg16.py', '../_base_/datasets/gta2cityscapes_pseudo.py',
    '../_base_/schedules/adam_120k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='CrossDomainAttentionHead', in_channels=1024,
            spatial_weight=None, channel_weight=None, classifier=_base_.model.decode_head)),
    discriminator=dict(type='FCDiscriminator', in_channels=19),
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
