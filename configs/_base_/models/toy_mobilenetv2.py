# The small network at half width and without pretrained weights, for the embedded toy data.
_base_ = ['./deeplabv2_mobilenetv2.py']
model = dict(
    backbone=dict(widen_factor=0.5, init_cfg=None),
    decode_head=dict(in_channels=160),
)
