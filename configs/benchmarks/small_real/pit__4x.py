# PIT at the rates of its other small config: 4 times the backbone's for classifier and units instead
# of 10, clipped gradients.
_base_ = ['./pit.py']
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            clip_grad=dict(max_norm=10.),
            paramwise_cfg=dict(
                custom_keys=dict(
                    decode_head=dict(lr_mult=4.), auxiliary_head=dict(lr_mult=4.))))))
