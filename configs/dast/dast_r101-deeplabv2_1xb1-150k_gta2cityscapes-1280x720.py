# Stage 1, discriminator attention ("DA"): 44.8 mIoU in the paper (Table 1); not trained by us.
# Next: dast_r101-deeplabv2_1xb1-20k_gta2cityscapes-1280x720_round.py.
_base_ = [
    '../_base_/models/deeplabv2_r101_caffe.py', '../_base_/datasets/gta2cityscapes.py',
    '../_base_/schedules/sgd_150k.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='DAST',
    segmentor=dict(
        _base_.model,
        type='AttendedSegmentor',
        segmentor_type='EncoderDecoder',
        attention=dict(
            type='DiscriminatorAttention',
            attend_at='backbone.layer4.1',  # second of three blocks: the published code
            discriminator=dict(
                type='FCDiscriminator',  # discoverer, Network Architecture
                in_channels=2048,
                channels=(1024, 512, 256),  # the paper's 256, 128, 64 fit VGG-16 only
                kernel_size=3,
                stride=1,
                padding=1))),
    discriminator=dict(
        type='FCDiscriminator',  # corrector, Network Architecture
        in_channels=19,
        channels=(64, 128, 256, 512),
        kernel_size=4,
        stride=2,
        padding=1),
    adversarial_loss=dict(
        type='AdversarialLoss',
        mode='least_squares',
        loss_weight=0.01,  # lambda_d = lambda_c, Objective Functions
        disc_weight=1.))  # no 1/2 in L_adv^D and L_adv^C
optim_wrapper = dict(
    optimizers={
        'student.attention': dict(
            optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))),  # Implementation Details
    })
