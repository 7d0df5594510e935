# AdaptSegNet, one level: 39.5 mIoU over 16 classes, 45.9 over 13 in the literature (DAST, Table 2).
# Not trained by us. Our choice: 120k iterations, as in CDANet and BDL, so that rows compare.
_base_ = [
    '../_base_/models/deeplabv2_r101_caffe.py', '../_base_/datasets/synthia2cityscapes.py',
    '../_base_/schedules/sgd_120k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    discriminator=dict(type='FCDiscriminator', in_channels=19),
    adversarial_loss=dict(type='AdversarialLoss', mode='bce', loss_weight=0.001))  # lambda_adv
