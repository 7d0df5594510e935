# Two branches of the classifier: the published ResNet code, whose `return` inside a loop drops two.
# Not trained by us.
_base_ = ['./dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py']
model = dict(segmentor=dict(decode_head=dict(aspp_branches=2)))
