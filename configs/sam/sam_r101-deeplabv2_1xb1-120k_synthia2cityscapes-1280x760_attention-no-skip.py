# Stage A of No skip-connection: the loss is on o^ alone (Sec. 5.2).
_base_ = ['./sam_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760_attention.py']
model = dict(segmentor=dict(decode_head=dict(skip=False)))
