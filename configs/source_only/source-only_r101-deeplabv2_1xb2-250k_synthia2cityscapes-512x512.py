# Source only as in CAMix: 29.5 mIoU over 13 classes in its paper (Table 3); not trained by us. It
# has the weights, crops and schedule of CAMix; the paper does not say so.
_base_ = [
    '../_base_/models/deeplabv2_r101_coco.py', '../_base_/datasets/synthia2cityscapes_512x512.py',
    '../_base_/schedules/sgd_250k.py', '../_base_/default_runtime.py'
]
model = dict(_delete_=True, type='SourceOnly', segmentor=_base_.model)
