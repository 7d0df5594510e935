# No Conv, F = o, nothing to train in stage A: 44.0 mIoU over 16 classes
# in the paper (Table 1); not trained by us.
_base_ = [
    '../_base_/models/deeplabv2_r101.py', '../_base_/datasets/synthia2cityscapes_pseudo.py',
    '../_base_/schedules/sgd_120k_sam.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SelfTraining',  # Eq. (1) to (3)
    segmentor=_base_.model,
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(
                type='SelfAttentionModule',
                in_channels=19,
                with_conv=False),
            checkpoint=None,
            form='attended',  # Eq. (9)
            loss_type='l1',  # our choice: the norm's name is lost in the text
            domains=('target', ),  # Eq. (11)
            loss_weight=0.1)))  # lambda, Sec. 5.1
val_evaluator = [_base_.val_evaluator, dict(type='EntropyMetric')]  # Figure 4
