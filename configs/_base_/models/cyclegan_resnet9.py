# CycleGAN with the settings of BDL: https://arxiv.org/abs/1904.10620
model = dict(
    type='CycleGAN',
    generator=dict(type='ResNetGenerator', channels=64, num_blocks=9),
    discriminator=dict(
        type='FCDiscriminator',  # PatchGAN, 70x70
        in_channels=3,
        channels=(64, 128, 256, 512),
        stride=(2, 2, 2, 1, 1),
        norm_cfg=dict(type='IN'),
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.02)),
    adversarial_loss=dict(
        type='AdversarialLoss', mode='least_squares', loss_weight=1.0, disc_weight=0.5),
    lambda_cycle=10.,
    lambda_identity=5.,
    pool_size=50)
