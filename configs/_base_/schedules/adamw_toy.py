# Minutes on a CPU: AdamW, ten times the rate for the head, batch 2.
optim_wrapper = dict(
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(
            optimizer=dict(type='AdamW', lr=3e-4, betas=(0.9, 0.999), weight_decay=0.01),
            paramwise_cfg=dict(
                norm_decay_mult=0., custom_keys={'decode_head': dict(lr_mult=10.)}))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=300, by_epoch=False)
]
train_cfg = dict(type='UDATrainLoop', max_iters=300, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
