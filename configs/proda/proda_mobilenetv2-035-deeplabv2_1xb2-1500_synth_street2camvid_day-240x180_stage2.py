_base_ = [
    '../_base_/models/deeplabv2_mobilenetv2-035.py', '../_base_/datasets/synth_street2camvid_day.py',
    '../_base_/schedules/sgd_small.py', '../_base_/small_runtime.py'
]
model = dict(
    _delete_=True,
    type='Distillation',
    segmentor=_base_.model,
    fixed_teacher=dict(
        type='FixedTeacher',
        segmentor=_base_.model,
        checkpoint='work_dirs/proda_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180_stage1/iter_1500.pth'),
    weak_view=dict(type='RandomView', size=(180, 240), ratio=(1.0, 1.5)),
    strong_view=dict(type='RandAugment'),
    norm_statistics='target')
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir='work_dirs/proda_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180_labels'),
            dict(type='Resize', scale=_base_.scale, interpolation='bicubic'),
            dict(type='PackUDAInputs')
        ])))
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
