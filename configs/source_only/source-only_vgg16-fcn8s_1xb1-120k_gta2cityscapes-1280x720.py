# Stage 0 of SAM with FCN-8s; not trained by us. PIT's source only has a config of its own.
# Our choice: the schedule of BDL.
_base_ = [
    '../_base_/models/fcn8s_vgg16_caffe.py', '../_base_/datasets/gta2cityscapes.py',
    '../_base_/schedules/adam_120k.py', '../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            optimizer=_base_.optim_wrapper.optimizers.student.optimizer,
            paramwise_cfg=dict(bias_lr_mult=2.))))  # as in BDL's FCN-8s
