_base_ = [
    '../_base_/models/toy_mobilenetv2.py', '../_base_/datasets/toy_street.py',
    '../_base_/schedules/toy.py', '../_base_/toy_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model, channels_last=True)
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
