# Four units: 43.5 mIoU over 16 classes in the paper (Table 4); not trained by us.
_base_ = ['./pit_r101-deeplabv2_1xb4-200k_synthia2cityscapes-1280x760.py']
model = dict(segmentor=dict(auxiliary_head=dict(r=(0.5, 1., 1.5, 2.))))
