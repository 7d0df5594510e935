_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035_two_levels.py',
    '../_base_/datasets/synth_street2camvid_day.py', '../_base_/schedules/sgd_small.py',
    '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='MinEnt',
    segmentor=_base_.model,
    norm_statistics='target',
    lambda_ent=0.001,
    auxiliary_weight=0.2)
student = _base_.optim_wrapper.optimizers.student
student.paramwise_cfg.custom_keys.auxiliary_head = dict(lr_mult=10.)
optim_wrapper = dict(optimizers=dict(_delete_=True, student=student))
