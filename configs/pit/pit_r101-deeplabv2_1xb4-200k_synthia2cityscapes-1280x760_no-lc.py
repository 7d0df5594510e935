# Without L_c, source and target: 36.2 mIoU over 16 classes in the paper (Table 3); not trained by
# us.
_base_ = ['./pit_r101-deeplabv2_1xb4-200k_synthia2cityscapes-1280x760.py']
model = dict(
    segmentor=dict(auxiliary_head=dict(loss_decode=dict(loss_weight=0.))))
