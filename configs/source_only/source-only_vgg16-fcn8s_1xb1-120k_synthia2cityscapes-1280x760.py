# 25.1 mIoU over 16 classes in the literature (PIT, Table 2); not trained by us.
# Our choice: the schedule of CDANet and BDL, so that rows compare.
_base_ = [
    '../_base_/models/fcn8s_vgg16_caffe.py', '../_base_/datasets/synthia2cityscapes.py',
    '../_base_/schedules/adam_120k.py', '../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(
            optimizer=_base_.optim_wrapper.optimizers.student.optimizer,
            paramwise_cfg=dict(bias_lr_mult=2.))))  # as in BDL's FCN-8s
