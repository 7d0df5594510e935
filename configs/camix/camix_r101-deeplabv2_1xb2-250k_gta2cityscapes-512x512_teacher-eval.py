# A teacher in evaluation mode: its own running statistics instead of each batch's. Not in the
# paper, not trained by us.
_base_ = ['./camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py']
model = dict(teacher=dict(mode='eval'))
