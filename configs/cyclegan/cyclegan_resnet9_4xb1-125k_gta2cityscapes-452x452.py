# The translation of BDL, on which CDANet and SAM train; not trained by us. 20 passes over GTA5, the
# last 10 at a falling rate. Four GPUs with an image each, or one with four (--cfg-options
# train_dataloader.{source,target}.batch_size=4): the same, as no layer looks at several images.
# Our choice: the rate falls with each iteration instead of each pass, to 1/11.
_base_ = [
    '../_base_/models/cyclegan_resnet9.py', '../_base_/datasets/gta2cityscapes_unlabelled.py',
    '../_base_/schedules/adam_cyclegan.py', '../_base_/default_runtime.py'
]
train_cfg = dict(max_iters=125000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1., end_factor=1 / 11, begin=62500, end=125000,
        by_epoch=False)
]
