# CycleGAN's: Adam, at a constant rate for half of the training, then linearly to 1/11 of it. A
# config sets max_iters, and begin and end of the decay.
optimizer = dict(optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999)))
optim_wrapper = dict(
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(generators=optimizer, discriminators=optimizer))
train_cfg = dict(type='UDATrainLoop')
val_cfg = test_cfg = None
