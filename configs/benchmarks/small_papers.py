# What the five papers stand on or are combined with, on synth_street → camvid_day: translated source
# images, ADVENT, two levels, ProDA. The configs are the small ones of the methods' own directories.
#   python tools/benchmark.py configs/benchmarks/small_papers.py --list
title = 'Around the papers'
description = '''
MobileNetV2 0.35 with ImageNet weights and DeepLab-v2's classifier, batches of 2 + 2 images of
240x180, SGD, 1,500 iterations: the small config of each method's own directory. Scored at 480x360
over CamVid's 11 classes after the last iteration.

**Translated images**: FDA (beta 0.01) and Reinhard's colour transfer (CIELAB) of full images;
CycleGAN is [cyclegan_resnet6-16](../../configs/cyclegan) of seed 0, trained and applied at 240x180.
CDANet and SAM take pseudo labels as in their papers: of the adversarial model and of source only,
trained on the same images as they are. SAM is its first generation.
'''
baseline, bar = 'source_only', 'adabn'
points = [1500]
end = 'mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180'
last = {
    **dict.fromkeys(['val_cfg', 'val_dataloader', 'val_evaluator']),
    'train_cfg.val_interval': 1500,
}
source = '{{$MMSEG_UDA_DATA:data}}/synth_street/images/train'
target = '{{$MMSEG_UDA_DATA:data}}/camvid_day/images/train'
images = 'train_dataloader.source.dataset.data_prefix.img_path'
labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
module = 'model.regularizers.sam.checkpoint'


def path_of(method, config):
    return f'../{method}/{config}_{end}.py'


def train(name, config, options={}):
    return dict(name=name, type='train', config=config, options={**options, **last})


def scored(name, config, options={}, **more):
    return [
        train(name, config, options),
        dict(
            name=f'{name}_score',
            type='score',
            config=config,
            checkpoint=f'{{{name}}}',
            points=points,
            options={**options, 'val_evaluator.per_class': True, **more}),
        dict(name=f'{name}_cost', type='cost', config=config, options={**options, **last}),
    ]


def labelled(name, config, rule='bdl', options={}, **more):
    return dict(
        name=f'{name}_labels',
        type='pseudo_label',
        config=config,
        checkpoint=f'{{{name}}}',
        rule=rule,
        options=options,
        **more)


def colours(name, **options):
    return [
        dict(
            name=f'translate_{name}',
            type='translate',
            method=name,
            source=source,
            target=target,
            image_suffix='.jpg',
            **options)
    ]


gan = '../cyclegan/cyclegan_resnet6-16_1xb1-15k_synth_street2camvid_day-128x128.py'
styles = dict(
    fda=colours('fda', beta=0.01),
    reinhard=colours('reinhard'),
    cyclegan=[
        # The same network for every seed of what follows.
        dict(name='cyclegan', type='train', config=gan, options={'randomness.seed': 0}),
        dict(
            name='translate_cyclegan',
            type='translate',
            method='cyclegan',
            config=gan,
            checkpoint='{cyclegan}',
            source=source,
            image_suffix='.jpg',
            scale=(240, 180)),
    ])
source_only = path_of('source_only', 'source-only')
adversarial = path_of('adversarial', 'adversarial')
two_levels = adversarial.replace('.py', '_multi.py')
minent = path_of('advent', 'advent').replace('.py', '_minent.py')


def on_images(translation):
    """Translate, and name stages and options of what is trained on these images."""
    if translation is None:
        return [], '', {}
    style = styles[translation]
    return style, f'_{translation}', {images: f'{{{style[-1]["name"]}}}/images'}


def plain(translation=None):
    style, suffix, options = on_images(translation)
    return [*style, *scored(f'source_only{suffix}', source_only, options)]


def adabn():
    hook = dict(type='AdaBNHook', num_images=200)
    first, score, _ = scored('source_only', source_only, custom_hooks=[hook])
    return [first, dict(score, name='adabn_score')]


def cdanet(translation=None):
    style, suffix, options = on_images(translation)
    first = f'adversarial{suffix}'
    links = {**options, labels: f'{{{first}_labels}}'}
    return [
        *style,
        train(first, adversarial, options),
        labelled(first, adversarial),
        *scored(f'cdanet{suffix}', path_of('cdanet', 'cdanet'), links),
    ]


def from_source_only(method, config, translation=None, attention=None):
    """Train on pseudo labels of source only, and with SAM's loss if `attention` is its config."""
    style, suffix, options = on_images(translation)
    first = f'source_only{suffix}'
    links = {**options, labels: f'{{{first}_labels}}'}
    stages = [*style, train(first, source_only, options), labelled(first, source_only)]
    if attention:
        stages.append(train(f'attention{suffix}', attention, options))
        links[module] = f'{{attention{suffix}}}'
    return [*stages, *scored(f'{method}{suffix}', config, links)]


def pseudo_only(translation=None):
    return from_source_only(
        'self_training', path_of('self_training', 'self-training'), translation)


def sam(translation=None):
    config = path_of('sam', 'sam')
    return from_source_only('sam', config, translation, config.replace('.py', '_attention.py'))


def proda(sam=False):
    """Run ProDA to its second stage, which has SAM's loss, too, if `sam`."""
    stage1 = path_of('proda', 'proda').replace('.py', '_stage1.py')
    stage2 = stage1.replace('_stage1.py', '_stage2-sam.py' if sam else '_stage2.py')
    attention = path_of('sam', 'sam').replace('.py', '_attention.py')
    links = {'model.fixed_teacher.checkpoint': '{stage1}', labels: '{stage1_labels}'}
    stages = [
        train('adversarial', adversarial),
        dict(labelled('adversarial', adversarial, 'soft'), name='soft_labels'),
        dict(name='prototypes', type='prototypes', config=stage1, checkpoint='{adversarial}'),
        train(
            'stage1', stage1, {
                'load_from': '{adversarial}',
                'model.prototypes': '{prototypes}',
                labels: '{soft_labels}'
            }),
        labelled('stage1', stage1, dict(type='fixed', threshold=0.95), flip=True),
    ]
    if sam:
        stages.append(train('attention', attention))
        links[module] = '{attention}'
    return [*stages, *scored('proda_sam' if sam else 'proda', stage2, links)]


methods = dict(
    source_only=('Source only', plain()),
    adabn=('AdaBN', adabn()),
    source_only_fda=('Source only, FDA', plain('fda')),
    source_only_reinhard=('Source only, Reinhard', plain('reinhard')),
    source_only_cyclegan=('Source only, CycleGAN', plain('cyclegan')),
    adversarial=('Adversarial', scored('adversarial', adversarial)),
    two_levels=('Adversarial, two levels', scored('adversarial_two_levels', two_levels)),
    minent=('MinEnt', scored('minent', minent)),
    advent=('AdvEnt', scored('advent', path_of('advent', 'advent'))),
    self_training=('Pseudo-only', pseudo_only()),
    sam=('SAM', sam()),
    cdanet=('CDANet', cdanet()),
    proda=('ProDA', proda()),
    proda_sam=('ProDA + SAM', proda(sam=True)),
    **{
        f'{name}_{style}': (f'{text}, {styled}', stages_of(style))
        for style, styled in (('fda', 'FDA'), ('reinhard', 'Reinhard'), ('cyclegan', 'CycleGAN'))
        for name, text, stages_of in (
            ('self_training', 'Pseudo-only', pseudo_only), ('sam', 'SAM', sam),
            ('cdanet', 'CDANet', cdanet))
    })
cells = {f'day-{name}': stages for name, (_, stages) in methods.items()}
texts = {name: text for name, (text, _) in methods.items()}
del methods
pair_texts = dict(day='synth_street → camvid_day')
every = dict(pairs=['day'], seeds=[0, 1])
levels = dict(
    raw=dict(
        methods=[
            'source_only', 'adabn', 'source_only_fda', 'source_only_reinhard', 'adversarial',
            'two_levels', 'minent', 'advent', 'self_training', 'sam', 'cdanet', 'proda',
            'proda_sam'
        ],
        **every),
    cyclegan=dict(methods=['source_only_cyclegan'], **every),
    translated=dict(
        methods=[
            f'{name}_{style}' for name in ('self_training', 'sam', 'cdanet')
            for style in styles
        ],
        **every))
