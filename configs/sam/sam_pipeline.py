# SAM from raw data to the last generation. Each generation is a new network. ResNet-101 has 5: 52.2
# mIoU on GTA5 and 48.5 over 16 classes on SYNTHIA in the paper (Table 2). FCN-8s has 6: 45.7 and
# 43.1 (Table A.2). The report has each generation's mIoU and pseudo labels. Run by us on the small
# pairs only, with two generations.
#   python tools/run_pipeline.py configs/sam/sam_pipeline.py --cell r101-gta
seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
translated = ['vgg16-gta', 'r101-gta', 'vgg16-synthia', 'r101-synthia']  # Sec. 5.1
labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
sam = 'model.regularizers.sam.checkpoint'


def stages_of(name, generations, generation0={}):
    own, source_only = f'sam_{name}.py', f'../source_only/source-only_{name}.py'
    return [
        dict(name='attention', type='train', config=f'sam_{name}_attention.py'),
        # "No Pseudo"
        dict(name='generation0', type='train', config=source_only, **generation0),
        *[
            stage for k in range(1, generations + 1) for stage in (
                dict(
                    name=f'labels{k}',
                    type='pseudo_label',
                    config=source_only if k == 1 else own,
                    checkpoint=f'{{generation{k - 1}}}',
                    rule='bdl'),  # App. C
                dict(
                    name=f'generation{k}',
                    type='train',
                    config=own,
                    options={labels: f'{{labels{k}}}', sam: '{attention}'}))
        ],
        dict(name='test', type='test', config=own, checkpoint=f'{{generation{generations}}}'),
        dict(name='export', type='export', config=own, checkpoint=f'{{generation{generations}}}'),
    ]


def small(pair):
    name = f'mobilenetv2-035-deeplabv2_1xb2-1500_{pair}-240x180'
    own, source_only = f'sam_{name}.py', f'../source_only/source-only_{name}.py'
    first, second = {labels: '{labels1}', sam: '{attention}'}, {labels: '{labels2}', sam: '{attention}'}
    last = {'train_cfg.val_interval': 1500}  # the last checkpoint only
    return [
        dict(name='attention', type='train', config=f'sam_{name}_attention.py', options=last),
        dict(name='stage0', type='train', config=source_only, options=last),
        dict(
            name='labels1',
            type='pseudo_label',
            config=source_only,
            checkpoint='{stage0}',
            rule='bdl'),
        dict(name='generation1', type='train', config=own, options={**first, **last}),
        dict(
            name='labels2',
            type='pseudo_label',
            config=own,
            checkpoint='{generation1}',
            rule='bdl',
            options=first),
        dict(name='generation2', type='train', config=own, options={**second, **last}),
        dict(name='export', type='export', config=own, checkpoint='{generation2}'),
    ]


decay = dict(options={'param_scheduler.0.end': 120000})  # as in the later stages
cells = {
    'vgg16-gta': stages_of('vgg16-fcn8s_1xb1-120k_gta2cityscapes-1280x720', 6),
    'r101-gta': stages_of('r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720', 5, decay),
    'vgg16-synthia': stages_of('vgg16-fcn8s_1xb1-120k_synthia2cityscapes-1280x760', 6),
    'r101-synthia': stages_of('r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760', 5, decay),
    'small-day': small('synth_street2camvid_day'),
    'small-dusk': small('camvid_day2camvid_dusk'),
}
