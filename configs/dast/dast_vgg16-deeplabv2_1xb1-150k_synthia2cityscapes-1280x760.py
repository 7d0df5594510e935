# Stage 1, discriminator attention ("DA"): 34.2 mIoU over 16 classes in the paper (Table 2); not
# trained by us. Next: dast_vgg16-deeplabv2_1xb1-20k_synthia2cityscapes-1280x760_round.py.
_base_ = [
    '../_base_/models/deeplabv2_vgg16_caffe.py', '../_base_/datasets/synthia2cityscapes.py',
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
            attend_at='backbone.conv5',  # conv5_3: the published code
            discriminator=dict(
                type='FCDiscriminator',  # discoverer, Network Architecture
                in_channels=512,
                channels=(256, 128, 64),
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
        'student': dict(paramwise_cfg=None),  # one rate: the published code for VGG-16
        'student.attention': dict(
            optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))),  # Implementation Details
    })
