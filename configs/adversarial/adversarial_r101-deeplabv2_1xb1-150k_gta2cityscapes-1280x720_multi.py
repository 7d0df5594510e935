# AdaptSegNet, two levels: 42.4 mIoU in the paper (Table 1).
# Not trained by us.
_base_ = [
    '../_base_/models/deeplabv2_r101_two_levels.py', '../_base_/datasets/gta2cityscapes.py',
    '../_base_/schedules/sgd_120k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='Adversarial',
    segmentor=_base_.model,
    auxiliary_weight=0.2,  # lambda_adv = 0.001 and 0.0002 (Sec. 5)
    discriminator=dict(type='FCDiscriminator', in_channels=19),
    adversarial_loss=dict(type='AdversarialLoss', mode='bce', loss_weight=0.001))
optim_wrapper = dict(
    optimizers=dict(
        student=dict(paramwise_cfg=dict(custom_keys={'auxiliary_head': dict(lr_mult=10.)}))))
train_cfg = dict(max_iters=150000)  # of the official code; its schedule ends at 250,000
