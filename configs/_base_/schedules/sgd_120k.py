# The common schedule of AdaptSegNet and BDL: poly over 250k iterations, stopped early.
# CDANet stops at 120k.
# Adversarial methods use `discriminators`; the others remove it.
optim_wrapper = dict(
    type='JointOptimWrapperDict',
    constructor='JointOptimWrapperConstructor',
    optimizers=dict(
        student=dict(
            optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
            paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.)})),
        discriminators=dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)))))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=250000, by_epoch=False)
]
train_cfg = dict(type='UDATrainLoop', max_iters=120000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
