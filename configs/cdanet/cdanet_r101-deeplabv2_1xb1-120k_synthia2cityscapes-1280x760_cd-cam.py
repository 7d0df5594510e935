# CD-CAM alone: 52.0 mIoU over 13 classes in the paper (Table 4); not trained by us.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/synthia2cityscapes_pseudo.py',
    '../_base_/schedules/sgd_120k_cdanet.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='CDANet',
    segmentor=dict(
        _base_.model,
        decode_head=dict(
            type='CrossDomainAttentionHead', in_channels=2048,
            spatial_weight=None, classifier=_base_.model.decode_head)),
    discriminator=dict(type='FCDiscriminator', in_channels=19),
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
