# AdaptSegNet, one level, least squares with the weight of the official code.
# Not trained by us. Our choice: 120k iterations, as CDANet and BDL, for comparable rows.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/synthia2cityscapes.py',
    '../_base_/schedules/sgd_120k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    discriminator=dict(type='FCDiscriminator', in_channels=19),
    adversarial_loss=dict(type='AdversarialLoss', mode='least_squares', loss_weight=0.01))
