# One unit, r = 0.5: 35.3 mIoU over 16 classes in the paper (Tables 3, 4); not trained by us.
_base_ = ['./pit_vgg16-fcn8s_1xb4-200k_synthia2cityscapes-1280x760.py']
model = dict(segmentor=dict(auxiliary_head=dict(r=(0.5, ))))
