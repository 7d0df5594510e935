# AdaptSegNet, one level: 41.4 mIoU in the paper (Table 1).
# Not trained by us. Our choice: 120k iterations, as in CDANet and BDL, so that rows compare.
_base_ = [
    '../_base_/models/deeplabv2_r101_caffe.py', '../_base_/datasets/gta2cityscapes.py',
    '../_base_/schedules/sgd_120k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    discriminator=dict(type='FCDiscriminator', in_channels=19),
    adversarial_loss=dict(type='AdversarialLoss', mode='bce', loss_weight=0.001))  # lambda_adv
