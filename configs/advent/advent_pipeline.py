# ADVENT from raw data to the number of its paper, that of AdvEnt and MinEnt together: 45.5 mIoU on
# GTA5, 41.2 over 16 and 48.0 over 13 classes on SYNTHIA (PIT, Tables 1 and 2). Not trained by us.
#   python tools/run_pipeline.py configs/advent/advent_pipeline.py --cell r101-gta
both = {
    'model.segmentor.type': 'EnsembleSegmentor',
    'model.segmentor.checkpoints': ['{minent}'],
}


def stages_of(name):
    advent, minent = f'advent_{name}.py', f'advent_{name}_minent.py'
    return [
        dict(name='advent', type='train', config=advent),
        dict(name='minent', type='train', config=minent),
        dict(name='test_advent', type='test', config=advent, checkpoint='{advent}'),
        dict(name='test_minent', type='test', config=minent, checkpoint='{minent}'),
        dict(name='test', type='test', config=advent, checkpoint='{advent}', options=both),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
cells = {
    'r101-gta': stages_of('r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720'),
    'r101-synthia': stages_of('r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760'),
    'small-day': stages_of('mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180'),
}
