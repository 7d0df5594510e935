# Source only as in 26.1 mIoU in DAST's paper (Table 1); not trained by us. It has the optimizer
# of DAST's VGG-16: SGD at one rate. Our choice: 120k iterations, as in the other rows.
_base_ = [
    '../_base_/models/deeplabv2_vgg16_caffe.py', '../_base_/datasets/gta2cityscapes.py',
    '../_base_/schedules/sgd_120k.py', '../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
optim_wrapper = dict(
    optimizers=dict(
        _delete_=True,
        student=dict(optimizer=_base_.optim_wrapper.optimizers.student.optimizer)))
