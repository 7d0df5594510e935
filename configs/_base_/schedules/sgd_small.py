# Small pairs on a CPU: the proportions of sgd_120k.py at a higher rate, for 1,500 iterations.
optim_wrapper = dict(
    type='JointOptimWrapperDict',
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(
            optimizer=dict(type='SGD', lr=5e-3, momentum=0.9, weight_decay=5e-4),
            paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.)})),
        discriminators=dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))))
param_scheduler = [dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=1500, by_epoch=False)]
train_cfg = dict(type='UDATrainLoop', max_iters=1500, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
