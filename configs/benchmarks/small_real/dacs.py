# The mean teacher with ClassMix, as in ../../mean_teacher.
_base_ = ['./source_only.py']
model = dict(
    type='MeanTeacher',
    teacher=dict(type='EMATeacher', alpha=0.99),
    mixer=dict(type='ClassMix', direction='source2target'),
    augment=dict(type='StrongAugment'),
    consistency=dict(type='ConsistencyLoss', normalize='official'),
    label_weight='batch_ratio',
    norm_statistics='target')
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
