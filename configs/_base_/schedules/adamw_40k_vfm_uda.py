# VFM-UDA's schedule: AdamW at 5e-5 times the square root of the images per step (8 of each domain, on
# four processes), a tenth of it for the encoder, weight decay 0.01 for all parameters, 40,000
# iterations. The linear decay begins at 0 and multiplies the warm-up of 1,500 iterations.
optim_wrapper = dict(
    type='JointOptimWrapperDict',
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(
            optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01),
            sqrt_batch_size=2,  # of each process; so on more of them the rate is higher
            paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., begin=0, end=40000, by_epoch=False)
]
train_cfg = dict(type='UDATrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
