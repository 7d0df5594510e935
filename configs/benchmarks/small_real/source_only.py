_base_ = [
    '../../_base_/models/deeplabv3plus_mobilenetv2.py',
    '../../_base_/datasets/synth_street2camvid_day_256x192.py',
    '../../_base_/schedules/adamw_small.py', '../../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model, channels_last=True)
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
default_hooks = dict(checkpoint=dict(interval=400, max_keep_ckpts=-1))
custom_hooks = [dict(type='HealthHook', interval=100)]
