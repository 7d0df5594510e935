# The small network at half width and without pretrained weights, for the embedded toy data. Its
# maps have 16x32 positions, so the classifier has smaller dilations.
_base_ = ['./deeplabv2_mobilenetv2.py']
model = dict(
    backbone=dict(widen_factor=0.5, init_cfg=None),
    decode_head=dict(in_channels=160, dilations=(1, 3, 6), aspp_branches=3),
)
