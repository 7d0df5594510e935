# Translated source images, from raw data: {translate}/images. Other pipelines run these stages first
# where `translated` is True: docs/pipelines.md.
#   python tools/run_pipeline.py configs/cyclegan/cyclegan_pipeline.py --cell gta
data = '{{$MMSEG_UDA_DATA:data}}/'


def stages_of(config, source, scale, **translate):
    return [
        dict(name='cyclegan', type='train', config=config),
        dict(
            name='translate',
            type='translate',
            method='cyclegan',
            config=config,
            checkpoint='{cyclegan}',
            source=data + source,
            scale=scale,
            **translate),
    ]


def semantic(stages, source_only):
    """Train the segmentor whose scores shall stay."""
    first, *others = stages
    return [
        dict(name='segmentor', type='train', config=source_only),
        dict(first, options={'model.semantic.checkpoint': '{segmentor}'}),
        *others,
    ]


seed = 0
gta = 'cyclegan_resnet9_4xb1-125k_gta2cityscapes-452x452'
cells = {
    'gta': stages_of(f'{gta}.py', 'gta/images', (1024, 562)),
    'gta-semantic': semantic(
        stages_of(f'{gta}_semantic.py', 'gta/images', (1024, 562)),
        '../source_only/source-only_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py'),
    'synthia': stages_of(
        'cyclegan_resnet9_4xb1-47k_synthia2cityscapes-452x452.py', 'synthia/RGB',
        (1024, 608)),
    'day': stages_of(
        'cyclegan_resnet6-16_1xb1-15k_synth_street2camvid_day-128x128.py',
        'synth_street/images/train',
        (240, 180),
        image_suffix='.jpg'),
}
