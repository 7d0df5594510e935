# "Pseudo-Only" of SAM from raw data to the last generation. Each generation is a new network.
# ResNet-101 has 5: 48.8 mIoU on GTA5 and 45.7 over 16 classes on SYNTHIA in the paper (Table 2).
# FCN-8s has 6: 44.3 and 42.3 (Table A.2). The report has each generation's mIoU and pseudo labels.
# Not run by us.
#   python tools/run_pipeline.py configs/self_training/self-training_pipeline.py --cell r101-gta
def stages_of(name, generations, generation0={}, again={}):
    own, source_only = f'self-training_{name}.py', f'../source_only/source-only_{name}.py'
    labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
    return [
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
                    options={labels: f'{{labels{k}}}', **again}))
        ],
        dict(name='test', type='test', config=own, checkpoint=f'{{generation{generations}}}'),
        dict(name='export', type='export', config=own, checkpoint=f'{{generation{generations}}}'),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
translated = ['vgg16-gta', 'r101-gta', 'vgg16-synthia', 'r101-synthia']  # Sec. 5.1
decay = dict(options={'param_scheduler.0.end': 120000})  # as in the later stages
small = 'mobilenetv2-035-deeplabv2_1xb2-1500_{}-240x180'
last = {'train_cfg.val_interval': 1500}  # the last checkpoint only
cells = {
    'vgg16-gta': stages_of('vgg16-fcn8s_1xb1-120k_gta2cityscapes-1280x720', 6),
    'r101-gta': stages_of('r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720', 5, decay),
    'vgg16-synthia': stages_of('vgg16-fcn8s_1xb1-120k_synthia2cityscapes-1280x760', 6),
    'r101-synthia': stages_of('r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760', 5, decay),
    **{
        f'small-{end}': stages_of(small.format(pair), 2, dict(options=last), last)
        for end, pair in (('day', 'synth_street2camvid_day'), ('dusk', 'camvid_day2camvid_dusk'))
    },
}
