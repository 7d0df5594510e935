# VFM-UDA++ without its ViT-Adapter, DINOv2-L, Cityscapes to Dark Zurich.
# 68.7 mIoU on the 50 validation images in the paper, with the adapter. Not trained by us.
_base_ = [
    '../_base_/models/vfm_uda_dinov2-l.py', '../_base_/datasets/cityscapes2dark_zurich_1024x1024_vfm_uda.py',
    '../_base_/schedules/adamw_40k_vfm_uda_plus.py', '../_base_/default_runtime.py'
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
    mask=dict(type='BlockMask', block_size=57, ratio=0.7),  # 18 x 18 blocks
    regularizers=dict(
        feature_distance=dict(
            type='FeatureDistance',
            backbone=dict(
                type='TimmFeatures',
                model_name='vit_large_patch14_reg4_dinov2',
                out_indices=(-1, ),
                norm=True,
                dynamic_img_size=True,
                init_cfg=dict(
                    type='Pretrained', checkpoint='timm://vit_large_patch14_reg4_dinov2.lvd142m')),
            classes=None,
            distance='cosine_smooth_l1',
            input_size=(406, 406),
            projection=(1024, 1024),
            domain_weights=dict(source=0.1, target=0.1))))
default_hooks = dict(checkpoint=dict(interval=4000))
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
