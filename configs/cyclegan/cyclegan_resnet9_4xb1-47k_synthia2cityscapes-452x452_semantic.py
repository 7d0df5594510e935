# BDL's translation with its perceptual loss: a segmentor keeps the content of the images. Not in the
# paper of CDANet or SAM; not trained by us. Any checkpoint of the segmentor will do.
_base_ = [
    '../_base_/models/deeplabv2_r101_caffe.py', '../_base_/datasets/synthia2cityscapes_unlabelled.py',
    '../_base_/schedules/adam_cyclegan.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='CycleGAN',
    generator=dict(type='ResNetGenerator', channels=64, num_blocks=9),
    discriminator=dict(
        type='FCDiscriminator',
        in_channels=3,
        channels=(64, 128, 256, 512),
        stride=(2, 2, 2, 1, 1),
        norm_cfg=dict(type='IN'),
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.02)),
    adversarial_loss=dict(
        type='AdversarialLoss', mode='least_squares', loss_weight=1.0, disc_weight=0.5),
    lambda_cycle=10.,
    lambda_identity=5.,
    pool_size=50,
    semantic=dict(
        type='SemanticConsistency',
        segmentor=_base_.model,
        checkpoint='work_dirs/source-only_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760/'
        'iter_120000.pth',
        loss_weight=0.1,
        cycle_weight=10.))
train_cfg = dict(max_iters=47000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1., end_factor=1 / 11, begin=23500, end=47000,
        by_epoch=False)
]
