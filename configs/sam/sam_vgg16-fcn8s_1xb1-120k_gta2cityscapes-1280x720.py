# Stage B, generation 1: 43.1 mIoU in the paper (Table A.2); not trained by us.
# tools/generate_pseudo_labels.py makes the pseudo labels, by rule `bdl` (App. C) and with the
# previous model. For generation 1 that is source only. The self-attention comes from stage A.
# The paper translates its source images to the target's style by CycleGAN;
# ../_base_/datasets/gta2cityscapes.py says how to use such images.
_base_ = [
    '../_base_/models/fcn8s_vgg16_caffe.py', '../_base_/datasets/gta2cityscapes_pseudo.py',
    '../_base_/schedules/adam_120k_fcn8s.py', '../_base_/default_runtime.py'
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
                kernel_size=1),  # our choice: not in the paper
            checkpoint='work_dirs/sam_vgg16-fcn8s_1xb1-120k_gta2cityscapes-1280x720_'
            'attention/iter_120000.pth',
            form='residual',  # Eq. (8)
            loss_type='l1',  # our choice: our copy of the text lacks the norm
            domains=('source', 'target'),  # Eq. (10)
            loss_weight=0.001)))  # lambda, App. A.1
val_evaluator = [_base_.val_evaluator, dict(type='EntropyMetric')]  # Figure 4
