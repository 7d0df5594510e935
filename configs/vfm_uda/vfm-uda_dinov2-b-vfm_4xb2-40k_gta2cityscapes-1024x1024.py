# VFM-UDA with DINOv2-B, GTA5 to Cityscapes. 77.1 mIoU in the paper. Not trained by us.
_base_ = [
    '../_base_/models/vfm_uda_dinov2-b.py', '../_base_/datasets/gta2cityscapes_1024x1024_vfm_uda.py',
    '../_base_/schedules/adamw_40k_vfm_uda.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='MIC',
    segmentor=_base_.model,
    teacher=dict(type='EMATeacher', alpha=0.999, mode='batch_statistics', mirrored=True),
    mixer=dict(type='ClassMix', direction='source2target'),
    weak_augment=dict(
        type='StrongAugment',
        brightness=32 / 255,
        contrast=0.5,
        saturation=0.5,
        hue=18 / 360,
        jitter_prob=0.9,
        blur_prob=0.),
    augment=dict(
        type='StrongAugment',
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
        hue=0.2,
        jitter_prob=0.8,
        blur_prob=0.5),
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='official'),
    pseudo_threshold=0.968,
    label_weight='batch_ratio',
    mask=dict(type='BlockMask', block_size=1, ratio=0.7),
    mask_at='tokens')
default_hooks = dict(checkpoint=dict(interval=4000))
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
