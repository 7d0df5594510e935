# SAM, two generations: from the two domains to the tested and exported segmentor.
end = 'mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180'
source_only = f'../source_only/source-only_{end}.py'
generation = f'sam_{end}.py'
labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
sam = 'model.regularizers.sam.checkpoint'
often = {'train_cfg.val_interval': 1500}  # the last checkpoint counts

seed = 0
stages = [
    dict(name='attention', type='train', config=f'sam_{end}_attention.py', options=often),
    dict(name='stage0', type='train', config=source_only, options=often),
    dict(
        name='labels1', type='pseudo_label', config=source_only, checkpoint='{stage0}', rule='bdl'),
    dict(
        name='generation1',
        type='train',
        config=generation,
        options={labels: '{labels1}', sam: '{attention}', **often}),
    dict(
        name='labels2',
        type='pseudo_label',
        config=generation,
        checkpoint='{generation1}',
        rule='bdl',
        options={labels: '{labels1}', sam: '{attention}'}),
    dict(
        name='generation2',
        type='train',
        config=generation,
        options={labels: '{labels2}', sam: '{attention}', **often}),
    dict(name='export', type='export', config=generation, checkpoint='{generation2}'),
]
