# Stage A on the classifier's input instead of its output (App. B).
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720_attention.py']
model = dict(segmentor=dict(decode_head=dict(attend='features')))
