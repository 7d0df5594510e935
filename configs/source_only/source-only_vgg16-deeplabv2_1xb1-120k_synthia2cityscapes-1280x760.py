# DeepLab-v2 with VGG-16 and the schedule of CDANet and BDL, so that rows compare; not trained by
# us. The file that ends in _sgd has DAST's optimizer and its number.
_base_ = [
    '../_base_/models/deeplabv2_vgg16_caffe.py', '../_base_/datasets/synthia2cityscapes.py',
    '../_base_/schedules/adam_120k.py', '../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
optim_wrapper = dict(
    optimizers=dict(_delete_=True, student=_base_.optim_wrapper.optimizers.student))
