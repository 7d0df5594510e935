# SAM, from raw data to generation 5, a new network each: 48.5 mIoU over 16 classes in the paper
# (Table 2). The report has every generation's mIoU and pseudo labels. Not run by us.
own = 'sam_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760.py'
before = [
    '../source_only/source-only_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760.py',
    *[own] * 5
]
seed = 0
stages = [
    dict(
        name='attention',
        type='train',
        config='sam_r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760_attention.py'),
    dict(
        name='generation0',  # "No Pseudo"
        type='train',
        config=before[0],
        options={'param_scheduler.0.end': 120000}),  # as in the stages after it
    *[
        stage for k in range(1, 6) for stage in (
            dict(
                name=f'labels{k}',
                type='pseudo_label',
                config=before[k - 1],
                checkpoint=f'{{generation{k - 1}}}',
                rule='bdl'),  # App. C
            dict(
                name=f'generation{k}',
                type='train',
                config=own,
                options={
                    'train_dataloader.target.dataset.pipeline.1.pseudo_dir': f'{{labels{k}}}',
                    'model.regularizers.sam.checkpoint': '{attention}',
                }))
    ],
    dict(name='test', type='test', config=own, checkpoint='{generation5}'),
    dict(name='export', type='export', config=own, checkpoint='{generation5}'),
]
