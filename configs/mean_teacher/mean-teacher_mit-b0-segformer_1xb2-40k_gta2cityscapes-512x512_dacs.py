# Mixing: DACS with the SegFormer of mmseg. Not in a paper, not trained by us.
_base_ = [
    '../_base_/models/segformer_mit-b0.py', '../_base_/datasets/gta2cityscapes_512x512.py',
    '../_base_/schedules/adamw_40k_segformer.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=_base_.model,
    teacher=dict(type='EMATeacher', alpha=0.99, mode='train'),
    mixer=dict(type='ClassMix', direction='source2target'),
    augment=dict(type='StrongAugment'),
    consistency=dict(type='ConsistencyLoss', kind='ce', normalize='official'),
    label_weight='batch_ratio')
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
