# From scratch in minutes: Adam, batch 2.
optim_wrapper = dict(
    type='JointOptimWrapperDict',
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(optimizer=dict(type='Adam', lr=2e-3)),
        discriminators=dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))))
param_scheduler = [dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=600, by_epoch=False)]
train_cfg = dict(type='UDATrainLoop', max_iters=600, val_interval=600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
