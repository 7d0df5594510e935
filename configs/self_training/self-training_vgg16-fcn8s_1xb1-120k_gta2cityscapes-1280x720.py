# "Pseudo-Only" of SAM, generation 1: 42.8 mIoU in the paper (Table A.2); not trained by us.
# tools/generate_pseudo_labels.py makes the pseudo labels, by rule `bdl` (App. C) and with the
# previous model. For generation 1 that is source only.
# The paper translates its source images to the target's style by CycleGAN;
# ../_base_/datasets/gta2cityscapes.py says how to use such images.
_base_ = [
    '../_base_/models/fcn8s_vgg16_caffe.py', '../_base_/datasets/gta2cityscapes_pseudo.py',
    '../_base_/schedules/adam_120k_fcn8s.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SelfTraining',  # Eq. (1) to (3)
    segmentor=_base_.model)
val_evaluator = [_base_.val_evaluator, dict(type='EntropyMetric')]  # Figure 4
