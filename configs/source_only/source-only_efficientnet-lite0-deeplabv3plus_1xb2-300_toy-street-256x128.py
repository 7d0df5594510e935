# Not in a paper: the first stage of the quick start.
_base_ = [
    '../_base_/models/deeplabv3plus_efficientnet-lite0.py', '../_base_/datasets/toy_street.py',
    '../_base_/schedules/adamw_toy.py', '../_base_/toy_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model, channels_last=True)
