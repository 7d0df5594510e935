# 38.1 mIoU over 16 classes in the paper (Table 2); not trained by us.
# Our choice: each unit is a whole FCN-8s score path; the paper says "convolution layer".
_base_ = [
    '../_base_/models/fcn8s_vgg16_caffe.py', '../_base_/datasets/synthia2cityscapes_image_labels.py',
    '../_base_/schedules/sgd_200k_pit.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='PIT',
    segmentor=dict(
        _base_.model,
        auxiliary_head=dict(
            type='LSEExpansionHead',
            unit=_base_.model.decode_head,
            r=(0.5, 1., 1.5),  # r^k, Sec. 5.2
            image_label='share',  # y_s, Eq. (2); our choice: shares of the labelled pixels
            loss_decode=dict(
                type='ImageLabelLoss',
                reduction='mean',  # our choice: over classes; the paper prints their sum
                loss_weight=0.5),  # lambda_c, Sec. 5.2
            loss_reconstruction=dict(
                type='ReconstructionLoss',
                reduction='mean',  # our choice: over classes and pixels; the paper: their sum
                domains=('source', 'target'),
                loss_weight=0.5),  # lambda_r, Sec. 5.2
            weights='class')))  # our choice: w^k has one weight per class
