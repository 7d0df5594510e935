# No Conv, F = o, nothing to train in stage A: 42.7 mIoU in the paper (Table 1); not trained by us.
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(
    regularizers=dict(sam=dict(self_attention=dict(with_conv=False), checkpoint=None)))
