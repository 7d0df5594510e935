# Stage 3 of ProDA: 57.5 mIoU in the paper. Not trained by us.
# Our choice: it starts from the weights of stage 2, as in the published code; the paper starts from
# SimCLRv2 again: --cfg-options load_from=None
_base_ = [
    '../_base_/models/proda_distillation_r101.py', '../_base_/datasets/gta2cityscapes_896x512.py',
    '../_base_/schedules/sgd_62k_proda.py', '../_base_/default_runtime.py'
]
model = dict(
    fixed_teacher=dict(
        segmentor=_base_.model.segmentor,
        checkpoint='work_dirs/proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512_stage2/iter_62000.pth'))
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadPseudoLabels', pseudo_dir='work_dirs/proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512_labels2'),
            dict(type='Resize', scale=_base_.target_scale, backend='pillow'),
            dict(type='PackUDAInputs')
        ])))
load_from = 'work_dirs/proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512_stage2/iter_62000.pth'
