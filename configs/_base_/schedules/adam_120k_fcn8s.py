# SAM with FCN-8s, App. A.1: Adam with momentums 0.9 and 0.99, whose rate falls to a tenth every
# 50,000 iterations. There is no adversary.
# Our choice: BDL's rate, 1e-5, and twice that for biases. Our copy of the text lacks the number.
_base_ = ['./adam_120k.py']
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            optimizer=_base_.optim_wrapper.optimizers.student.optimizer,
            paramwise_cfg=dict(bias_lr_mult=2.))))
