# DAST, Algorithm 1, from raw data to the end of round 3: 44.3 mIoU in the paper
# (Table 1). The report has the mIoU of every stage and each round's pseudo labels. Not run by us.
data = '{{$MMSEG_UDA_DATA:data}}/'
again = 'dast_vgg16-deeplabv2_1xb1-20k_gta2cityscapes-1280x720_round.py'
seed = 0
stages = [
    *[
        dict(
            name=name,
            type='translate',
            source=data + 'gta/images',
            labels=data + 'gta/labels',
            target=data + 'cityscapes/leftImg8bit/train',
            beta=beta,
            max_images=500,
            seed=0) for name, beta in (('beta05', 0.5), ('beta09', 0.9))
    ],
    dict(
        name='stage1',
        type='train',
        config='dast_vgg16-deeplabv2_1xb1-150k_gta2cityscapes-1280x720_select.py',
        options={
            f'val_cfg.selection.{name}.dataloader.dataset.data_root': f'{{{name}}}'
            for name in ('beta05', 'beta09')
        }),
    *[
        stage for k in range(1, 4) for stage in (  # K = 3, Method Overview
            dict(
                name=f'labels{k}',
                type='pseudo_label',
                config='dast_vgg16-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py',
                checkpoint='{stage1.best}' if k == 1 else f'{{round{k - 1}}}',
                rule=dict(type='cbst', share=0.5)),  # q, Table 4
            dict(
                name=f'round{k}',
                type='train',
                config=again,
                options={
                    'load_from': '{stage1.best}' if k == 1 else f'{{round{k - 1}}}',
                    'train_dataloader.target.dataset.pipeline.1.pseudo_dir': f'{{labels{k}}}'
                }))
    ],
    dict(name='test', type='test', config=again, checkpoint='{round3}'),
    dict(name='export', type='export', config=again, checkpoint='{round3}'),
]
