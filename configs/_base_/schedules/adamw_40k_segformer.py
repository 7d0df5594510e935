# SegFormer's optimizer from mmseg's own configs, for 40,000 iterations: AdamW at 6e-5, 10 times
# that in the head, a warm-up of 1,500 iterations, linear decay. There is no adversary.
optim_wrapper = dict(
    type='JointOptimWrapperDict',
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(
            optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
            paramwise_cfg=dict(
                custom_keys={
                    'norm': dict(decay_mult=0.),
                    'head': dict(lr_mult=10.)
                }))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., begin=1500, end=40000, by_epoch=False)
]
train_cfg = dict(type='UDATrainLoop', max_iters=40000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
