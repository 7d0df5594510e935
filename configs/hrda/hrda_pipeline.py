# HRDA from raw data to the final number: counts of the source's classes, training, test, export.
#   python tools/run_pipeline.py configs/hrda/hrda_pipeline.py --cell b5-gta
counts = {'train_dataloader.source.sampling.class_counts': '{counts}'}


def stages_of(config):
    return [
        dict(name='counts', type='class_counts', config=config),
        dict(name='hrda', type='train', config=config, options=counts),
        dict(name='test', type='test', config=config, checkpoint='{hrda}', options=counts),
        dict(name='export', type='export', config=config, checkpoint='{hrda}', options=counts),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
network = 'hrda_mit-b5-daformer_1xb2-40k'
cells = {
    'b5-gta': stages_of(f'{network}_gta2cityscapes-1024x1024.py'),
    'b5-synthia': stages_of(f'{network}_synthia2cityscapes-1024x1024.py'),
    'b5-acdc': stages_of(f'{network}_cityscapes2acdc-1024x1024.py'),
    'b5-dark-zurich': stages_of(f'{network}_cityscapes2dark_zurich-1024x1024.py'),
}
