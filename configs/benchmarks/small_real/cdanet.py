# CDANet with the pseudo labels of source only, as in ../../cdanet. Its attention is on the deepest
# map, which is all that its classifier gets: without the branch of stride 4.
_base_ = ['./self_training.py']
# Up to six cross entropies add up: rates of the head and clipped gradients as in the other small
# config. At the rates of all others the energies of CD-CAM grow, and nothing is learnt.
student = dict(
    clip_grad=dict(max_norm=10.),
    paramwise_cfg=dict(
        custom_keys={
            'decode_head': dict(lr_mult=0.4),
            'decode_head.classifier': dict(lr_mult=2.)
        }))
discriminators = dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))
model = dict(
    type='CDANet',
    segmentor=dict(
        decode_head=dict(
            _delete_=True,
            type='CrossDomainAttentionHead',
            in_channels=320,
            # The default, N(0, 0.01), shrinks features of so few channels. CD-CAM keeps it: its
            # energies are sums over all positions, and its gradient explodes if they are large.
            init_cfg=dict(
                type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear',
                override=dict(name='conv_channel', type='Normal', std=0.01)),
            classifier=dict(
                _base_.model.segmentor.decode_head, c1_in_channels=0, c1_channels=0))),
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001))
optim_wrapper = dict(optimizers=dict(student=student, discriminators=discriminators))
