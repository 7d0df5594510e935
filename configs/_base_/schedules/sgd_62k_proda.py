# ProDA's published code: poly over 90k iterations, stopped after 84 epochs of 743, which is 62,412.
# The rates are those of stages 2 and 3.
_base_ = ['./sgd_120k.py']
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            optimizer=dict(type='SGD', lr=6e-4, momentum=0.9, weight_decay=2e-4),
            paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.)}))))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=90000, by_epoch=False)
]
train_cfg = dict(max_iters=62000, val_interval=1000)
