# BDL (Li et al., CVPR 2019) from raw data to the final number. VGG-16 and ResNet-101 have 41.3 and
# 48.5 mIoU on GTA5, 39.0 over 16 and 51.4 over 13 classes on SYNTHIA (CDANet, Tables 3 and 4, "base").
# K = 2 times: CycleGAN, from the second time on with the segmentor that came before; a network with
# AdaptSegNet's loss; then N = 2 times its pseudo labels and a network that learns these, too. Every
# network starts from its initial weights. Not run by us.
#   python tools/run_pipeline.py configs/adversarial/bdl_pipeline.py --cell r101-gta
data = '{{$MMSEG_UDA_DATA:data}}/'
images = 'train_dataloader.source.dataset.data_prefix.img_path'
pseudo_dir = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'


def translation(k, translated, before):
    """Train CycleGAN and translate the source."""
    config, source, scale, *more = translated
    gan = f'../cyclegan/{config}.py'
    options = {}
    if before:
        gan = f'../cyclegan/{config}_semantic{before[0]}.py'
        options = {'model.semantic.checkpoint': f'{{{before[1]}}}'}
    return [
        dict(name=f'cyclegan{k}', type='train', config=gan, options=options),
        dict(
            name=f'translate{k}',
            type='translate',
            method='cyclegan',
            config=gan,
            checkpoint=f'{{cyclegan{k}}}',
            source=data + source,
            scale=scale,
            **dict(more)),
    ]


def inner_round(k, i, cell, before):
    """Label the target, and train a new network on these labels."""
    network = f'm{k}_{i}'
    return [
        dict(
            name=f'labels{k}_{i}',
            type='pseudo_label',
            config=before[0],
            checkpoint=f'{{{before[1]}}}',
            rule='bdl'),
        dict(
            name=network,
            type='train',
            config=f'ablations.py:bdl:{cell}',
            options={
                images: f'{{translate{k}}}/images',
                pseudo_dir: f'{{labels{k}_{i}}}'
            }),
        dict(name=f'test_{network}', type='test', config=first_of(cell), checkpoint=f'{{{network}}}'),
    ]


def first_of(cell):
    return f'ablations.py:adversarial:{cell}'


def stages_of(cell, translated, suffix='', outer=2, inner=2, first={'train_cfg.max_iters': 80000}):
    config, stages, before = first_of(cell), [], None
    for k in range(1, outer + 1):
        stages += translation(k, translated, before)
        options = {images: f'{{translate{k}}}/images', **first}
        stages.append(dict(name=f'm{k}_0', type='train', config=config, options=options))
        for i in range(1, inner + 1):
            stages += inner_round(k, i, cell, (config, f'm{k}_{i - 1}'))
        before = suffix, f'm{k}_{inner}'
    return [
        *stages,
        dict(name='export', type='export', config=config, checkpoint=f'{{{before[1]}}}'),
    ]


seed = 0
gta = ('cyclegan_resnet9_4xb1-125k_gta2cityscapes-452x452', 'gta/images', (1024, 562))
synthia = ('cyclegan_resnet9_4xb1-47k_synthia2cityscapes-452x452', 'synthia/RGB', (1024, 608))
day = ('cyclegan_resnet6-16_1xb1-15k_synth_street2camvid_day-128x128',
       'synth_street/images/train', (240, 180), ('image_suffix', '.jpg'))
cells = {
    'vgg16-gta': stages_of('vgg16-gta', gta, '-vgg16'),
    'r101-gta': stages_of('r101-gta', gta),
    'vgg16-synthia': stages_of('vgg16-synthia', synthia, '-vgg16'),
    'r101-synthia': stages_of('r101-synthia', synthia),
    'small-day': stages_of('small-day', day, outer=1, first={}),  # without the second translation
}
