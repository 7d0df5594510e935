# Not in a paper: DACS from the weights of source only, the second stage of the quick start.
_base_ = ['../source_only/source-only_efficientnet-lite0-deeplabv3plus_1xb2-300_toy-street-256x128.py']
model = dict(
    type='MeanTeacher',
    teacher=dict(type='EMATeacher', alpha=0.99),
    mixer=dict(type='ClassMix', direction='source2target'),
    augment=dict(type='StrongAugment'),
    consistency=dict(type='ConsistencyLoss', normalize='official'),
    label_weight='batch_ratio',
    norm_statistics='target')
custom_hooks = [dict(type='EMATeacherHook')]
