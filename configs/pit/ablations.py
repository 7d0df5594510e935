# PIT's ablations (Sec. 5.3 to 5.5) with the paper's mIoU, on SYNTHIA over 16 classes. Trained by us
# on the small pairs only, see README.md.
#   python tools/train.py configs/pit/ablations.py --row no-lc --cell r101-gta
#   python tools/run_pipeline.py configs/pit/ablations.py --cell r101-gta
seed = 0
figures = {  # of the first validation images: the paper does not say which it shows
    'figure2': dict(rows=['pit'], kind='units', images=3),
    'figure3': dict(rows=['unit-0p5', 'unit-1', 'unit-1p5', 'pit'], kind='prediction', images=3),
}
pipeline = 'pit_pipeline.py'
cells = {
    'vgg16-gta': 'pit_vgg16-fcn8s_1xb4-200k_gta2cityscapes-1280x640.py',
    'r101-gta': 'pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py',
    'vgg16-synthia': 'pit_vgg16-fcn8s_1xb4-200k_synthia2cityscapes-1280x760.py',
    'r101-synthia': 'pit_r101-deeplabv2_1xb4-200k_synthia2cityscapes-1280x760.py',
    'small-day': 'pit_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py',
    'small-dusk': 'pit_mobilenetv2-035-deeplabv2_1xb2-1500_camvid_day2camvid_dusk-240x180.py',
}
head = 'model.segmentor.auxiliary_head'
loading = 'train_dataloader.target.dataset.pipeline.1'
links = {f'{loading}.label_file': '{image_labels}'}

papers = [cell for cell in cells if not cell.startswith('small')]

rows = {
    'source-only': dict(
        text='source only (theirs): L_f alone',
        table='1, 2',
        config={cell: f'../source_only/source-only_{cells[cell][4:]}' for cell in papers},
        paper=(28.6, 36.2, 25.1, 31.5),
        links={}),
    'pit': dict(text='PIT', table='1, 2', cells=[*cells], paper=(41.8, 50.6, 38.1, 44.0)),
    'no-lc': dict(
        text='without L_c, source and target',
        table='3',
        options={f'{head}.loss_decode.loss_weight': 0.},
        paper=(35.9, 40.8, 34.8, 36.2)),
    'no-lr': dict(
        text='without L_r, source and target',
        table='3',
        options={f'{head}.loss_reconstruction': None},
        paper=(34.2, 38.0, 32.1, 37.3)),
    'no-lr-source': dict(
        text='L_r on the target alone',
        table='3',
        options={f'{head}.loss_reconstruction.domains': ('target', )},
        paper=(36.4, 38.5, 35.2, 39.9)),
    **{
        name: dict(text=text, table=table, options={f'{head}.r': r}, paper=paper)
        for name, text, table, r, paper in (
            ('unit-0p5', 'one unit, r = 0.5', '3, 4', (0.5, ), (38.2, 44.9, 35.3, 40.1)),
            ('unit-1', 'one unit, r = 1', '3', (1., ), (39.2, 45.2, 34.8, 41.1)),
            ('unit-1p5', 'one unit, r = 1.5', '3', (1.5, ), (37.5, 45.7, 36.1, 39.6)),
            ('units-2', 'two units', '4', (0.5, 1.), (40.2, 48.2, 37.3, 42.5)),
            ('units-4', 'four units', '4', (0.5, 1., 1.5, 2.), (41.3, 50.7, 37.0, 43.5)))
    },
    # The classes that an image shows are given, in both domains. The label file comes from
    # tools/train_image_labels.py CONFIG --out FILE --from-labels, or from the pipeline. No stage of
    # the pipeline but the first reads labels of the target.
    'weak': dict(
        text='weak supervision: image-level labels of the target are given',
        table='5',
        options={
            f'{head}.image_label': 'presence',
            f'{loading}.label_file': 'work_dirs/image_labels/cityscapes_presence.npz',
            f'{loading}.presence': True
        },
        cell_options={
            f'small-{end}': {
                f'{loading}.label_file': f'work_dirs/image_labels/{pair}_presence.npz'
            }
            for end, pair in (('day', 'synth_street2camvid_day'), ('dusk', 'camvid_day2camvid_dusk'))
        },
        cells=[*cells],
        paper=(43.8, 52.9, 42.4, 47.3),
        variant='weak'),
    # The paper gives w neither a rate nor a decay of its own; here it has those of the units, 10
    # times the backbone's rate and weight decay 5e-4.
    'plain-weights': dict(
        text='w of L_r at the rate of the backbone, without weight decay',
        options={
            'optim_wrapper.optimizers.student.paramwise_cfg.custom_keys.reconstruction_weight':
            dict(lr_mult=1., decay_mult=0.)
        },
        cells=['r101-gta']),
    # Scores of 0 mean 1/2 as printed, far above most shares; see README.md.
    'uniform-prior': dict(
        text='pooled scores begin at the share of one of C equal classes',
        options={f'{head}.uniform_prior': True},
        cells=['r101-gta'])
}
