# VFM-UDA from raw data to the final number: counts of the source's classes, training, test, export.
#   python tools/run_pipeline.py configs/vfm_uda/vfm-uda_pipeline.py --cell l-gta
counts = {'train_dataloader.source.sampling.class_counts': '{counts}'}


def stages_of(config):
    return [
        dict(name='counts', type='class_counts', config=config),
        dict(name='vfm_uda', type='train', config=config, options=counts),
        dict(name='test', type='test', config=config, checkpoint='{vfm_uda}', options=counts),
        dict(name='export', type='export', config=config, checkpoint='{vfm_uda}', options=counts),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
base, large = 'vfm-uda_dinov2-b-vfm_4xb2-40k', 'vfm-uda_dinov2-l-vfm_4xb2-40k'
cells = {
    'b-gta': stages_of(f'{base}_gta2cityscapes-1024x1024.py'),
    'l-gta': stages_of(f'{large}_gta2cityscapes-1024x1024.py'),
    'l-gta-plus': stages_of(f'{large}_gta2cityscapes-1024x1024_plus.py'),
    'b-synthia-plus': stages_of(f'{base}_synthia2cityscapes-1024x1024_plus.py'),
    'l-dark-zurich-plus': stages_of(f'{large}_cityscapes2dark_zurich-1024x1024_plus.py'),
}
