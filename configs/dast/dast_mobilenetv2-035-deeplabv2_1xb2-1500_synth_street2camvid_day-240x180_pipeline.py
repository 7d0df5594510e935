# DAST, two rounds: from the two domains to the exported segmentor.
end = 'synth_street2camvid_day-240x180'
alignment = f'dast_mobilenetv2-035-deeplabv2_1xb2-1500_{end}.py'
round = f'dast_mobilenetv2-035-deeplabv2_1xb2-300_{end}_round.py'
labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
often = {'train_cfg.val_interval': 1500}  # the last checkpoint counts

seed = 0
stages = [
    dict(name='alignment', type='train', config=alignment, options=often),
    dict(
        name='labels1',
        type='pseudo_label',
        config=alignment,
        checkpoint='{alignment}',
        rule='cbst'),
    dict(
        name='round1',
        type='train',
        config=round,
        options={'load_from': '{alignment}', labels: '{labels1}'}),
    dict(
        name='labels2',
        type='pseudo_label',
        config=round,
        checkpoint='{round1}',
        rule='cbst',
        options={labels: '{labels1}'}),
    dict(
        name='round2',
        type='train',
        config=round,
        options={'load_from': '{round1}', labels: '{labels2}'}),
    dict(name='export', type='export', config=round, checkpoint='{round2}'),
]
