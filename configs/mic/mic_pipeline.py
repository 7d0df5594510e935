# MIC from raw data to the final number: counts of the source's classes, training, test, export.
#   python tools/run_pipeline.py configs/mic/mic_pipeline.py --cell b5-gta
counts = {'train_dataloader.source.sampling.class_counts': '{counts}'}


def stages_of(config):
    return [
        dict(name='counts', type='class_counts', config=config),
        dict(name='mic', type='train', config=config, options=counts),
        dict(name='test', type='test', config=config, checkpoint='{mic}', options=counts),
        dict(name='export', type='export', config=config, checkpoint='{mic}', options=counts),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
cells = {
    'b5-gta': stages_of('mic_mit-b5-daformer_1xb2-40k_gta2cityscapes-512x512.py'),
    'b5-synthia': stages_of('mic_mit-b5-daformer_1xb2-40k_synthia2cityscapes-512x512.py'),
    'b5-loveda': stages_of('mic_mit-b5-daformer_1xb2-40k_loveda-512x512_rural2urban.py'),
    'b5-potsdam': stages_of('mic_mit-b5-daformer_1xb2-40k_potsdam2vaihingen-512x512.py'),
    'hrda-gta': stages_of('mic_mit-b5-hrda_1xb2-40k_gta2cityscapes-1024x1024.py'),
    'hrda-synthia': stages_of('mic_mit-b5-hrda_1xb2-40k_synthia2cityscapes-1024x1024.py'),
    'hrda-acdc': stages_of('mic_mit-b5-hrda_1xb2-40k_cityscapes2acdc-1024x1024.py'),
    'hrda-dark-zurich': stages_of('mic_mit-b5-hrda_1xb2-40k_cityscapes2dark_zurich-1024x1024.py'),
    'r101-gta': stages_of('mic_r101-deeplabv2_1xb2-40k_gta2cityscapes-512x512.py'),
    'r101-synthia': stages_of('mic_r101-deeplabv2_1xb2-40k_synthia2cityscapes-512x512.py'),
}
