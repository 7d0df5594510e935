# CAMix from raw data to the final number: 55.2 mIoU on GTA5 (Tables 1, 2) and 59.7 over 13 classes
# on SYNTHIA (Table 3) in the paper. The published code tests the student, Algorithm 1 returns the
# teacher; the pipeline tests and exports both. Run by us on the small pairs only.
#   python tools/run_pipeline.py configs/camix/camix_pipeline.py --cell r101-gta
prior = {'model.mixer.prior': '{prior}'}


def stages_of(config, often={}):
    return [
        dict(name='prior', type='spatial_prior', config=config),  # Sec. 3.1
        dict(name='camix', type='train', config=config, options={**often, **prior}),
        dict(name='test', type='test', config=config, checkpoint='{camix}', options=prior),
        dict(name='export', type='export', config=config, checkpoint='{camix}', options=prior),
        dict(
            name='test_teacher',
            type='test',
            config=config,
            checkpoint='{camix}',
            options={'model.eval_on': 'teacher', **prior}),
    ]


def with_exported_teacher(config):
    return [
        *stages_of(config),
        dict(
            name='export_teacher',
            type='export',
            config=config,
            checkpoint='{camix}',
            module='teacher.module',
            options=prior),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
small = 'camix_mobilenetv2-035-deeplabv2_1xb2-1500'
last = {'train_cfg.val_interval': 1500}  # the last checkpoint only
cells = {
    'r101-gta':
    with_exported_teacher('camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py'),
    'r101-synthia':
    with_exported_teacher('camix_r101-deeplabv2_1xb2-250k_synthia2cityscapes-512x512.py'),
    'small-day':
    stages_of(f'{small}_synth_street2camvid_day-240x180.py', last),
    'small-dusk':
    stages_of(f'{small}_camvid_day2camvid_dusk-240x180.py', last),
}
