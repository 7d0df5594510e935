# DAST's first stage, Implementation Details: 150,000 iterations; rates, momentum, weight decay and
# poly with power 0.9 are AdaptSegNet's. The decay over 250,000 iterations is the published code's.
_base_ = ['./sgd_120k.py']
train_cfg = dict(max_iters=150000)
