# DAST's first stage, Implementation Details: 150,000 iterations; rates, momentum, weight decay and
# poly with power 0.9 as in AdaptSegNet. The decay over 250,000 iterations: the published code.
_base_ = ['./sgd_120k.py']
train_cfg = dict(max_iters=150000)
