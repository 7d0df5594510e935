# "Pseudo-Only" of SAM, generation 1: 48.9 mIoU in the paper (Tables 1, 2); not trained by us.
# Pseudo labels of the target come from tools/generate_pseudo_labels.py, rule `bdl` (App. C), run
# with the model before: source only for generation 1.
# The paper's source images are translated to the target's style by CycleGAN: the data set's file
# says where they go.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/gta2cityscapes_pseudo.py',
    '../_base_/schedules/sgd_120k_sam.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SelfTraining',  # Eq. (1) to (3)
    segmentor=_base_.model)
val_evaluator = [_base_.val_evaluator, dict(type='EntropyMetric')]  # Figure 4
