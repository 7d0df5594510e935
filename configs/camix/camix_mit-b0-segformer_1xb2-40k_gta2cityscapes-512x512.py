# Mixing: CAMix with SegFormer from mmseg's own base config. Warm-up and ramp take the same shares
# of the training as in camix_r101-*.py. Not in a paper, not trained by us.
_base_ = [
    'mmseg::_base_/models/segformer_mit-b0.py', '../_base_/datasets/gta2cityscapes_512x512.py',
    '../_base_/schedules/adamw_40k_segformer.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=dict(
        _base_.model,
        data_preprocessor=dict(_base_.data_preprocessor, size_divisor=1),
        backbone=dict(
            _base_.model.backbone,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
                'mit_b0_20220624-7e0fe6dd.pth')),
        decode_head=dict(
            _base_.model.decode_head,
            norm_cfg=dict(type='BN'),  # SyncBN on several devices
            # The base's cross entropy, but averaged over the labelled pixels.
            loss_decode=dict(type='PixelCrossEntropyLoss'))),
    teacher=dict(type='EMATeacher', alpha=0.99, mode='train'),
    mixer=dict(
        type='ContextMix',
        prior='work_dirs/spatial_prior/gta2cityscapes.npz',
        # light -> pole; sign -> pole; pole -> light, sign; rider -> bicycle, motorcycle
        meta_classes={6: (5, ), 7: (5, ), 5: (6, 7), 12: (18, 17)},
        warmup_iters=17600),
    augment=dict(type='StrongAugment'),
    significance=dict(type='EntropySignificance', ramp_iters=20800),  # images have variance 1
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='significance'),
    label_weight='batch_ratio')
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
