# +MSE, the baseline (AdaptSegNet) with least squares: 35.9 mIoU in the paper (Table 3); not trained
# by us. It trains the corrector without the discoverer.
_base_ = [
    '../_base_/models/deeplabv2_vgg16_caffe.py', '../_base_/datasets/gta2cityscapes.py',
    '../_base_/schedules/sgd_150k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    discriminator=dict(type='FCDiscriminator', in_channels=19),
    adversarial_loss=dict(
        type='AdversarialLoss', mode='least_squares', loss_weight=0.01, disc_weight=1.))
optim_wrapper = dict(
    optimizers=dict(student=dict(paramwise_cfg=None)))  # one rate: the published code for VGG-16
