# Mixing: CAMix with the SegFormer of mmseg. Warm-up and ramp take the same shares
# of the training as in camix_r101-*.py. Not in a paper, not trained by us.
_base_ = [
    '../_base_/models/segformer_mit-b0.py', '../_base_/datasets/gta2cityscapes_512x512.py',
    '../_base_/schedules/adamw_40k_segformer.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=_base_.model,
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
