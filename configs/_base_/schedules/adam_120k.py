# BDL's schedule for VGG-16: Adam, whose rate falls to a tenth every 50k iterations.
optim_wrapper = dict(
    type='JointOptimWrapperDict',
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(optimizer=dict(type='Adam', lr=1e-5, betas=(0.9, 0.99))),
        discriminators=dict(optimizer=dict(type='Adam', lr=1e-6, betas=(0.9, 0.99)))))
param_scheduler = [
    dict(type='StepLR', step_size=50000, gamma=0.1, begin=0, end=120000, by_epoch=False)
]
train_cfg = dict(type='UDATrainLoop', max_iters=120000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
