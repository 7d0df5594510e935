# MIC on DACS with DeepLab-v2, GTA5 to Cityscapes. We could not read the paper's number. Not trained by
# us. Two branches of the classifier and AdamW, as in the authors' code.
_base_ = [
    '../_base_/models/deeplabv2_r101_torchvision.py',
    '../_base_/datasets/gta2cityscapes_512x512_daformer.py',
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
model = dict(
    _delete_=True,
    type='MIC',
    segmentor=dict(_base_.model, decode_head=dict(_base_.model.decode_head, aspp_branches=2)),
    teacher=dict(type='EMATeacher', alpha=0.999, mode='batch_statistics'),
    mixer=dict(type='ClassMix', direction='source2target'),
    augment=augment,
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='official'),
    pseudo_threshold=0.968,
    label_weight='batch_ratio',
    mask=dict(type='BlockMask', block_size=32, ratio=0.7),  # 64 for crops of 1024x1024
    mask_augment=augment,
    lambda_mask=1.)
# This network has no layer norms.
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            paramwise_cfg=dict(custom_keys=dict(_delete_=True, head=dict(lr_mult=10.))))))
default_hooks = dict(checkpoint=dict(interval=4000))
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
del augment
