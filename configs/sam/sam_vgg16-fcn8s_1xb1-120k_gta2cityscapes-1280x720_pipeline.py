# SAM, from raw data to generation 6, a new network each: 45.7 mIoU in the paper
# (Table A.2). The report has every generation's mIoU and pseudo labels. Not run by us.
own = 'sam_vgg16-fcn8s_1xb1-120k_gta2cityscapes-1280x720.py'
before = [
    '../source_only/source-only_vgg16-fcn8s_1xb1-120k_gta2cityscapes-1280x720.py',
    *[own] * 6
]
seed = 0
stages = [
    dict(
        name='attention',
        type='train',
        config='sam_vgg16-fcn8s_1xb1-120k_gta2cityscapes-1280x720_attention.py'),
    dict(name='generation0', type='train', config=before[0]),  # "No Pseudo"
    *[
        stage for k in range(1, 7) for stage in (
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
    dict(name='test', type='test', config=own, checkpoint='{generation6}'),
    dict(name='export', type='export', config=own, checkpoint='{generation6}'),
]
