# Source only and DACS on the toy pair, as the quick start runs them.
#   python tools/dataset_converters/toy_street.py data/toy_street
#   python tools/run_pipeline.py configs/mean_teacher/mean-teacher_pipeline.py --cell toy
# The network's weights: ../_base_/models/deeplabv3plus_efficientnet-lite0.py. DACS has its teacher
# from the start, so it continues from source only, as the field's warm-up on the source would.
seed = 0
end = 'efficientnet-lite0-deeplabv3plus_1xb2-300_toy-street-256x128'
source_only = f'../source_only/source-only_{end}.py'
dacs = f'mean-teacher_{end}_dacs.py'
scores = {'test_evaluator': dict(_delete_=True, type='SubsetIoUMetric', per_class=True)}
last = dict.fromkeys(['val_cfg', 'val_dataloader', 'val_evaluator'])
cells = dict(
    toy=[
        dict(name='source_only', type='train', config=source_only, options=last),
        dict(
            name='source_only_test',
            type='test',
            config=source_only,
            checkpoint='{source_only}',
            options=scores),
        dict(
            name='dacs',
            type='train',
            config=dacs,
            options={
                'load_from': '{source_only}',
                **last
            }),
        dict(name='dacs_test', type='test', config=dacs, checkpoint='{dacs}', options=scores),
        dict(name='export', type='export', config=dacs, checkpoint='{dacs}'),
    ])
