_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py', '../_base_/datasets/camvid_day2camvid_dusk.py',
    '../_base_/schedules/sgd_small.py', '../_base_/small_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
