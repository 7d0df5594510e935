# HRDA, SYNTHIA to Cityscapes. 65.8 mIoU over 16 classes in the paper. Not trained by us.
_base_ = [
    '../_base_/models/hrda_mit-b5.py', '../_base_/datasets/synthia2cityscapes_1024x1024_hrda.py',
    '../_base_/schedules/adamw_40k_daformer.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=_base_.model,
    teacher=dict(type='EMATeacher', alpha=0.999, mode='batch_statistics'),
    mixer=dict(type='ClassMix', direction='source2target'),
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
    regularizers=dict(
        feature_distance=dict(
            type='FeatureDistance',
            backbone=_base_.model.backbone,  # frozen, with the ImageNet weights
            domain_weights=dict(source=0.005),
            input_size=(512, 512))))  # of the context
default_hooks = dict(checkpoint=dict(interval=4000))
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
