# DAFormer from raw data to the final number: counts of the source's classes, training, test, export.
#   python tools/run_pipeline.py configs/daformer/daformer_pipeline.py --cell b5-gta
counts = {'train_dataloader.source.sampling.class_counts': '{counts}'}


def stages_of(config):
    return [
        dict(name='counts', type='class_counts', config=config),
        dict(name='daformer', type='train', config=config, options=counts),
        dict(name='test', type='test', config=config, checkpoint='{daformer}', options=counts),
        dict(name='export', type='export', config=config, checkpoint='{daformer}', options=counts),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
network = 'daformer_mit-b5-daformer_1xb2-40k'
cells = {
    'b5-gta': stages_of(f'{network}_gta2cityscapes-512x512.py'),
    'b5-synthia': stages_of(f'{network}_synthia2cityscapes-512x512.py'),
    'b5-acdc': stages_of(f'{network}_cityscapes2acdc-512x512.py'),
    'b5-dark-zurich': stages_of(f'{network}_cityscapes2dark_zurich-512x512.py'),
    'b5-loveda': stages_of(f'{network}_loveda-512x512_rural2urban.py'),
    'b5-potsdam': stages_of(f'{network}_potsdam2vaihingen-512x512.py'),
}
