# Stage 1 of ProDA: 51.9 mIoU over 16 classes in the paper. Not trained by us.
# `load_from`, `model.prototypes` and the soft labels are the warm-up's; proda_pipeline.py sets them.
_base_ = [
    '../_base_/models/deeplabv2gn_r101.py', '../_base_/datasets/synthia2cityscapes_896x512.py',
    '../_base_/schedules/sgd_62k_proda.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='ProDA',
    segmentor=_base_.model,
    teacher=dict(type='EMATeacher', alpha=0.999),
    weak_view=dict(type='RandomView', size=(512, 896), ratio=(0.537, 1.611)),  # 1100 to 3300 of 2048
    strong_view=dict(type='RandAugment', number=2, magnitude=10, cutout=1 / 3),
    prototypes='work_dirs/proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512_prototypes.npz',
    tau=1.0,  # Sec. 4.1
    lambda_ce=0.1,  # alpha
    lambda_rce=1.0,  # beta
    lambda_reg=0.0,  # the published script for SYNTHIA
    lambda_structure=10.0)  # per element, as in the code
optim_wrapper = dict(
    optimizers=dict(student=dict(optimizer=dict(lr=1e-4), paramwise_cfg=None)))  # one group
train_dataloader = dict(
    target=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadSoftLabels', pseudo_dir='work_dirs/proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512_soft'),
            dict(type='Resize', scale=_base_.target_scale, backend='pillow'),
            dict(type='PackUDAInputs')
        ])))
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
load_from = 'work_dirs/proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512_warmup/iter_62000.pth'
