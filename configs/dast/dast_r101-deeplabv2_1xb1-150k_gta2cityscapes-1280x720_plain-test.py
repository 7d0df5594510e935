# Tested without the attention, and so without the discoverer; the published code keeps it. Not
# trained by us.
_base_ = ['./dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py']
model = dict(segmentor=dict(attention=dict(test_attention=False)))
