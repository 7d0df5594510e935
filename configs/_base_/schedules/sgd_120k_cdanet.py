# CDANet with ResNet-101, Sec. 4.2: the attention has its own rate, 1e-4. A parameter
# goes to the longest key that fits its name.
# Our choice: the attention includes the convolutions around its modules and the aggregation; the
# classifier has 10 times the backbone's rate, as in AdaptSegNet.
_base_ = ['./sgd_120k.py']
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            paramwise_cfg=dict(
                custom_keys={
                    'decode_head': dict(lr_mult=0.4),  # 1e-4 of 2.5e-4
                    'decode_head.classifier': dict(lr_mult=10.)
                }))))
