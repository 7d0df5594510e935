# MIC on DAFormer, LoveDA, rural to urban. Not in the paper. Not trained by us.
_base_ = [
    '../_base_/models/daformer_mit-b5.py', '../_base_/datasets/loveda_rural2urban.py',
    '../_base_/schedules/adamw_40k_daformer.py', '../_base_/default_runtime.py'
]
augment = dict(
    type='StrongAugment',
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
    hue=0.2,
    jitter_prob=0.8,
    blur_prob=0.5)
# Counts: python tools/class_counts.py CONFIG work_dirs/class_counts/loveda_rural.npz
train_dataloader = dict(
    source=dict(
        sampling=dict(
            type='RareClassSampling',
            class_counts='work_dirs/class_counts/loveda_rural.npz',
            temperature=0.01,
            min_pixels=3000,
            min_crop_ratio=0.5)))
model = dict(
    _delete_=True,
    type='MIC',
    segmentor=dict(
        _base_.model, decode_head=dict(_base_.model.decode_head, num_classes=7)),
    teacher=dict(type='EMATeacher', alpha=0.999, mode='batch_statistics'),
    mixer=dict(type='ClassMix', direction='source2target'),
    augment=augment,
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='official'),
    pseudo_threshold=0.968,
    label_weight='batch_ratio',
    mask=dict(type='BlockMask', block_size=32, ratio=0.7),
    mask_augment=augment,
    lambda_mask=1.,
    regularizers=dict(
        feature_distance=dict(
            type='FeatureDistance',
            backbone=_base_.model.backbone,  # frozen, with the ImageNet weights
            domain_weights=dict(source=0.005),
            classes=(1, ))))
default_hooks = dict(checkpoint=dict(interval=4000))
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
del augment
