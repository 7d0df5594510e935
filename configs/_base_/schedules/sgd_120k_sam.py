# SAM with ResNet-101, Sec. 5.1: SGD, weight decay 0.0005, poly with power 0.9, 120,000 iterations,
# tested and saved every 2,000. There is no adversary.
# Our choice: our copy of the text lacks the rate; the paper gives neither the momentum nor the end
# of the decay. Rate and momentum are BDL's: 2.5e-4, 10 times that in the head, and 0.9. The decay
# ends with the training. BDL's ends at 250,000:
#   --cfg-options param_scheduler.0.end=250000
_base_ = ['./sgd_120k.py']
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=0.9, begin=0, end=120000, by_epoch=False)
]
