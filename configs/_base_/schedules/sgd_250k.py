# CAMix, Sec. 4.2: rate 2.5e-4, poly with power 0.9. From the published code: 250,000 iterations,
# SGD and weight decay 5e-4. (The text has Adam with "momentum 0.9" and weight decay 5e-5.) There is
# no adversary.
_base_ = ['./sgd_120k.py']
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
train_cfg = dict(max_iters=250000)
