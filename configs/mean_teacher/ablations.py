# The rows of CAMix's Tables 2, 4 and 6 without contextual mixing, with the mIoU of its paper.
# Trained by us on the small pairs only, see ../camix/README.md. All rows of Table 2 are
# "implemented under the same settings": only the mixer differs.
#   python tools/train.py configs/mean_teacher/ablations.py --row dacs --cell r101-gta
#   python tools/run_pipeline.py configs/mean_teacher/ablations.py --cell r101-gta
seed = 0
cells = {
    'r101-gta': 'mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py',
    'r101-synthia': 'mean-teacher_r101-deeplabv2_1xb2-250k_synthia2cityscapes-512x512.py',
    'small-day': 'mean-teacher_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py',
    'small-dusk': 'mean-teacher_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py',
}
pipeline = '../camix/camix_pipeline.py'  # the prior
metrics = {'r101-synthia': 'mIoU_synthia13'}

rows = {
    'mean_teacher': dict(
        text='mean teacher, no mixing', table='2, 6', cells=[*cells], paper=(43.1, 45.9)),
    'cowmix': dict(  # our choice: half of the image on average, blobs smoothed by 8 to 32 pixels
        text='CowMix',
        table='2',
        options={'model.mixer': dict(type='CowMix', sigma=(8., 32.), ratio=0.5)},
        paper=(48.3, )),
    'cutmix': dict(  # our choice: half of the image, as in French et al.
        text='CutMix',
        table='2',
        options={'model.mixer': dict(type='CutMix', ratio=0.5)},
        cells=['r101-gta', 'small-day', 'small-dusk'],
        paper=(48.7, )),
    'dacs': dict(
        text='DACS',
        table='2',
        options={'model.mixer': dict(type='ClassMix', direction='source2target')},
        cells=[*cells],
        paper=(52.1, )),
    # The published code: DACS first, for as long as in CAMix, then half of the classes of the
    # teacher's label onto the source. It is ContextMix without prior and meta-classes, so that each
    # row of Table 4 (`sp`, `ce`, `camix` in ../camix) adds one thing.
    'idacs': dict(
        text='iDACS, from the target to the source after a warm-up of DACS',
        table='2, 4',
        cell_options={
            cell: {
                'model.mixer': dict(type='ContextMix', meta_classes={}, share=0.5, warmup_iters=warmup)
            }
            for cell, warmup in (('r101-gta', 110000), ('r101-synthia', 40000))
        },
        cells=['r101-gta', 'r101-synthia'],
        paper=(51.5, )),
    'idacs-no-warmup': dict(
        text='iDACS as the paper describes it, from the target to the source alone',
        options={'model.mixer': dict(type='ClassMix', direction='target2source')},
        cells=[*cells]),
    'sigmask': dict(
        text='mean teacher with the significance mask, no mixing',
        table='6',
        options={
            'model.significance': dict(
                type='EntropySignificance',
                passes=8,  # N, Sec. 4.2
                noise_std=5.7,  # 0.1 of a standard deviation of about 57, as in ../camix
                noise_clip=11.4),
            'model.consistency.normalize': 'significance',  # Eq. (9)
        },
        cell_options={  # from the published code
            'r101-gta': {'model.significance.ramp_iters': 130000},
            'r101-synthia': {'model.significance.ramp_iters': 10000}
        },
        paper=(44.6, 47.1)),
    'camix': dict(
        text='CAMix',
        table='2, 6',
        config={
            cell: f'../camix/camix_{file.removeprefix("mean-teacher_")}' for cell, file in cells.items()
        },
        paper=(55.2, 59.7),
        links={'model.mixer.prior': '{prior}'}),
}
