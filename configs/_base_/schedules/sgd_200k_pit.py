# PIT, Sec. 5.2, both networks and benchmarks: SGD at 2.5e-5, momentum 0.9, poly with power 0.9,
# 200,000 iterations. There is no adversary.
# Our choices: weight decay 5e-4, and 10 times the rate for the classifier and the expansion units,
# as in AdaptSegNet; the decay ends with the training.
_base_ = ['./sgd_120k.py']
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            optimizer=dict(type='SGD', lr=2.5e-5, momentum=0.9, weight_decay=5e-4),
            paramwise_cfg=dict(
                custom_keys={
                    'decode_head': dict(lr_mult=10.),
                    'auxiliary_head': dict(lr_mult=10.)
                }))))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=200000, by_epoch=False)
]
train_cfg = dict(max_iters=200000)
