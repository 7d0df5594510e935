# Stage 3 of ProDA with SAM: 56.2 mIoU over 16 classes in SAM's paper (Table 5). Not trained by us.
# Our choice: the attention is trained with ProDA's network on raw source images.
_base_ = [
    '../_base_/models/proda_distillation_r101.py', '../_base_/datasets/synthia2cityscapes_896x512.py',
    '../_base_/schedules/sgd_62k_proda.py', '../_base_/default_runtime.py'
]
model = dict(
    fixed_teacher=dict(
        segmentor=_base_.model.segmentor,
        checkpoint='work_dirs/proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512_stage2/iter_62000.pth'),
    regularizers=dict(
        sam=dict(
            type='SelfAttentionLoss',
            self_attention=dict(type='SelfAttentionModule', in_channels=19, kernel_size=1),
            checkpoint='work_dirs/proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512_attention/iter_62000.pth',
            form='attended',  # Eq. (9)
            domains=('strong', ),  # Eq. (11)
            loss_type='l1',
            loss_weight=0.005)))  # lambda, Sec. 5.5
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir='work_dirs/proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512_labels2'),
            dict(type='Resize', scale=_base_.target_scale, backend='pillow'),
            dict(type='PackUDAInputs')
        ])))
load_from = 'work_dirs/proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512_stage2/iter_62000.pth'
