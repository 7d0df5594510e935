# The alignment of DAST, as in ../../dast.
_base_ = ['./adversarial.py']
model = dict(
    type='DAST',
    segmentor=dict(
        type='AttendedSegmentor',
        segmentor_type='EncoderDecoder',
        attention=dict(
            type='DiscriminatorAttention',
            attend_at='backbone.layer6.2',  # the last but one block, as in the ResNet of the paper
            discriminator=dict(
                type='FCDiscriminator', in_channels=160, channels=(80, 40, 20), kernel_size=3,
                stride=1))),
    adversarial_loss=dict(mode='least_squares', loss_weight=0.01, disc_weight=1.))
optim_wrapper = dict(
    optimizers={'student.attention': dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))})
