# No gradient through the attention into the features; the published code has it. Not trained by us.
_base_ = ['./dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py']
model = dict(segmentor=dict(attention=dict(detach=True)))
