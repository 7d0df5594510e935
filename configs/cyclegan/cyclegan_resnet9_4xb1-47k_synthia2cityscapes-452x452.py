# The translation of BDL, on which CDANet and SAM train; not trained by us. As for GTA5: 20 passes
# over SYNTHIA, the last 10 at a falling rate.
_base_ = [
    '../_base_/models/cyclegan_resnet9.py', '../_base_/datasets/synthia2cityscapes_unlabelled.py',
    '../_base_/schedules/adam_cyclegan.py', '../_base_/default_runtime.py'
]
train_cfg = dict(max_iters=47000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1., end_factor=1 / 11, begin=23500, end=47000, by_epoch=False)
]
