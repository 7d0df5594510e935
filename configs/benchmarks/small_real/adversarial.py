# One discriminator of the prediction, as in ../../adversarial.
_base_ = ['./source_only.py']
discriminators = dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))
model = dict(
    type='Adversarial',
    discriminator=dict(type='FCDiscriminator', in_channels=19, channels=(16, 32, 64, 128)),
    adversarial_loss=dict(type='AdversarialLoss', loss_weight=0.001),
    norm_statistics='target')
optim_wrapper = dict(optimizers=dict(discriminators=discriminators))
