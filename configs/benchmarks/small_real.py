# Two real gaps on one CPU core: MobileNetV2 1.0 with DeepLabV3+'s head, crops of 256x192, 2,000
# iterations. A cell is one method on one pair; tools/benchmark.py runs and reports all of them.
#   python tools/benchmark.py configs/benchmarks/small_real.py --list
#   python tools/run_pipeline.py configs/benchmarks/small_real.py --cell day-dacs
title = 'Small real pairs'
description = '''
MobileNetV2 1.0 with ImageNet weights and DeepLabV3+'s head, output stride 16. Batches of 2 + 2 crops
of 256x192 from images of 400x300; whole images at test time, scored at 480x360 over CamVid's 11
classes. AdamW, 2,000 iterations.

AdaBN is the bar: it costs seconds and needs no training.

**Hyper-parameters** were chosen without target labels, by one rule for all methods. The learning
rate, 3e-4 (3e-3 for the head), is the one of three with the best mIoU of source only on the source's
validation split after 400 iterations of synth_street → camvid_day: 44.8, 48.9 and 48.2 for 1e-4,
3e-4 and 6e-4. Everything else has the paper's value, or that of the method's other small config;
lengths in iterations keep their share of the training. camvid_day → camvid_dusk runs unchanged.
One setting came later: the prior of PIT, as its mutual information showed a collapse without it.

**Time.** Runs of commits before 79c013f computed 1x1 convolutions half as fast, beside other work:
compare their ratios, not their seconds.
'''
baseline, bar = 'source_only', 'adabn'  # every table has the differences to both
points = [400, 800, 1200, 1600, 2000]

root = '{{$MMSEG_UDA_DATA:data}}/'
target_set, unlabelled_set = 'val_dataloader.dataset', 'val_cfg.selection.unlabelled.dataloader.dataset'
source_set = 'val_cfg.selection.source.dataloader.dataset'
# Per pair, the options of trainings and those of scores; the configs are those of the first pair.
pairs = dict(
    day=dict(text='synth_street → camvid_day', train={}, score={}),
    dusk=dict(
        text='camvid_day → camvid_dusk',
        train={
            'train_dataloader.source.dataset.data_root': f'{root}camvid_day',
            'train_dataloader.target.dataset.data_root': f'{root}camvid_dusk',
        },
        score={
            f'{target_set}.data_root': f'{root}camvid_dusk',
            f'{source_set}.data_root': f'{root}camvid_day',
            f'{source_set}.indices': [*range(0, 171, 2)],
            f'{unlabelled_set}.dataset.data_root': f'{root}camvid_dusk',
            f'{unlabelled_set}.dataset.indices': None,
            'val_cfg.selection.unlabelled.evaluator.source_shares': [
                35.53, 4.67, 23.03, 0, 1.32, 1.04, 0, 1.22, 9.79, 0, 17.03, 0.66, 0.25, 5.46, 0, 0,
                0, 0, 0
            ],
        }))
unvalidated = dict.fromkeys(['val_cfg', 'val_dataloader', 'val_evaluator'])


def stages_of(method, pair, links={}):
    train = {**pair['train'], **unvalidated, **links}
    score = {**pair['train'], **pair['score'], **links}
    both = dict(config=f'small_real/{method}.py')
    return [
        dict(name=method, type='train', options=train, **both),
        dict(
            name=f'{method}_score',
            type='score',
            checkpoint=f'{{{method}}}',
            points=points,
            options=score,
            **both),
        dict(name=f'{method}_cost', type='cost', options=train, **both),
    ]


def renamed(stages, old, new):
    """Name stages, and the checkpoint that they read, after another training."""
    return [
        dict(each, name=each['name'].replace(old, new, 1),
             **({'checkpoint': f'{{{new}}}'} if 'checkpoint' in each else {}))
        for each in stages
    ]


def continued(method, pair, links={}):
    """Train source only, then the method from its weights."""
    source_only, *_ = stages_of('source_only', pair)
    train, *others = renamed(stages_of(method, pair, links), method, f'{method}_continued')
    start = {'load_from': '{source_only}'}
    return [source_only, dict(train, options={**train['options'], **start}), *others]


def adabn(pair):
    train, score, _ = stages_of('source_only', pair)
    return [train, adapted(score)]


def adapted(score):
    """Score with the target's batch-norm statistics."""
    hook = dict(type='AdaBNHook', num_images=200)
    name = score['name'].replace('source_only', 'adabn')
    return dict(score, name=name, options={**score['options'], 'custom_hooks': [hook]})


def adabn_continued(pair):
    """AdaBN of source only that was trained as long as a method that continues from it."""
    *trains, score, _ = continued('source_only', pair)
    return [*trains, adapted(score)]


def varied(method, pair, name, links):
    """A method with other values."""
    return renamed(stages_of(method, pair, links), method, f'{method}__{name}')


def camix(pair, stages=stages_of):
    config = 'small_real/camix.py'
    prior = dict(name='prior', type='spatial_prior', config=config, options=pair['train'])
    return [prior, *stages('camix', pair, {'model.mixer.prior': '{prior}'})]


def counted(method, pair, stages=stages_of):
    """Count the source's classes, for rare class sampling."""
    config = f'small_real/{method}.py'
    counts = dict(name='counts', type='class_counts', config=config, options=pair['train'])
    link = {'train_dataloader.source.sampling.class_counts': '{counts}'}
    return [counts, *stages(method, pair, link)]


def labels_of(name, pair, rule):
    return dict(
        name=f'{name}_labels',
        type='pseudo_label',
        config=f'small_real/{name}.py',
        checkpoint=f'{{{name}}}',
        rule=rule,
        options=pair['train'])


def with_labels(method, pair, links={}):
    """Train source only, label the target by it, then train the method on these labels."""
    source_only, *_ = stages_of('source_only', pair)
    links = {labels: '{source_only_labels}', **links}
    return [
        source_only,
        labels_of('source_only', pair, 'bdl'), *stages_of(method, pair, links)
    ]


def sam(pair):
    attention, *_ = stages_of('sam_attention', pair)
    return [
        attention,
        *with_labels('sam', pair, {'model.regularizers.sam.checkpoint': '{sam_attention}'})
    ]


def pit(pair, method='pit', images='pit'):
    file = dict(
        name='image_labels',
        type='image_labels',
        config=f'small_real/{images}.py',
        features='config',
        lr=3e-3,
        epochs=30,
        options=pair['train'])
    return [file, *stages_of(method, pair, {label_file: '{image_labels}'})]


def pit_true(pair, images='pit'):
    """PIT with the true shares of the classes in the target's images, to find out what they cost."""
    target = 'train_dataloader.target.dataset'
    true = {f'{target}.data_prefix.seg_map_path': 'labels/train', f'{target}.seg_map_suffix': '.png'}
    file = dict(
        name='true_labels',
        type='image_labels',
        config=f'small_real/{images}.py',
        from_labels='share',
        options={**pair['train'], **true})
    stages = stages_of(images, pair, {label_file: '{true_labels}'})
    return [file, *renamed(stages, images, f'{images}_true')]


def dast(pair):
    """Alignment, then a round of self-training, whose end is scored."""
    alignment, _, cost = stages_of('dast', pair)
    links = {labels: '{dast_labels}', 'load_from': '{dast}'}
    last, score, _ = stages_of('dast_round', pair, links)
    return [
        alignment,
        labels_of('dast', pair, 'cbst'), last,
        dict(score, name='dast_score', points=[400]), cost
    ]


def few(pair, number):
    """DACS with the labels of some target images; the seed chooses them."""
    source, target = (f'train_dataloader.{domain}.dataset.data_root' for domain in ('source', 'target'))
    train = dict(pair['train'])
    moved = {'train_dataloader.source.1.num_images': number}
    if source in train:
        moved['train_dataloader.source.0.dataset.data_root'] = train.pop(source)
        moved['train_dataloader.source.1.dataset.data_root'] = train[target]
    stages = stages_of('dacs_few', dict(pair, train={**train, **moved}))
    return renamed(stages, 'dacs_few', f'dacs_{number}')


def all_labels(pair):
    """Supervised by all labels of the target: the ceiling."""
    target = pair['train'].get('train_dataloader.target.dataset.data_root', f'{root}camvid_day')
    link = {'train_dataloader.source.dataset.data_root': target}
    return renamed(stages_of('source_only', pair, link), 'source_only', 'all_labels')


labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
label_file = 'train_dataloader.target.dataset.pipeline.1.label_file'
rates = {
    name: {'optim_wrapper.optimizers.student.optimizer.lr': float(name)} for name in ['1e-4', '6e-4']
}
# What may keep the teacher's labels poor, or the student from learning them.
causes = dict(
    fast_teacher=dict(text='teacher averages over 10 iterations', links={'model.teacher.alpha': 0.9}),
    eval_teacher=dict(
        text="teacher with the student's statistics", links={'model.teacher.mode': 'eval'}),
    full_weight=dict(text='labels of full weight', links={'model.label_weight': None}),
    unaugmented=dict(text='no augmentation', links={'model.augment': None}))
numbers = dict(day=[5, 20, 60, 80], dusk=[5, 20, 60])  # of labelled target images
methods = dict(
    source_only=dict(text='Source only', stages=lambda pair: stages_of('source_only', pair)),
    adabn=dict(text='AdaBN', stages=adabn),
    adversarial=dict(text='Adversarial', stages=lambda pair: stages_of('adversarial', pair)),
    self_training=dict(
        text='Self-training', stages=lambda pair: with_labels('self_training', pair)),
    cdanet=dict(text='CDANet', stages=lambda pair: with_labels('cdanet', pair)),
    sam=dict(text='SAM', stages=sam),
    pit=dict(text='PIT', stages=pit),
    pit_no_prior=dict(text='PIT without prior', stages=lambda pair: pit(pair, 'pit_no_prior')),
    pit_no_lc=dict(
        text='PIT without image-level loss', stages=lambda pair: pit(pair, 'pit_no_lc')),
    pit_no_lr=dict(
        text='PIT without reconstruction', stages=lambda pair: pit(pair, 'pit_no_lr')),
    pit_true=dict(text='PIT with true image-level labels', stages=pit_true),
    pit_crops=dict(
        text='PIT on crops', stages=lambda pair: pit(pair, 'pit_crops', 'pit_crops')),
    pit_crops_no_lr=dict(
        text='PIT on crops without reconstruction',
        stages=lambda pair: pit(pair, 'pit_crops_no_lr', 'pit_crops')),
    pit_crops_true=dict(
        text='PIT on crops with true image-level labels',
        stages=lambda pair: pit_true(pair, 'pit_crops')),
    dast=dict(text='DAST', stages=dast),
    dacs=dict(text='DACS', stages=lambda pair: stages_of('dacs', pair)),
    camix=dict(text='CAMix', stages=camix),
    dacs_continued=dict(
        text='DACS from source only', stages=lambda pair: continued('dacs', pair)),
    dacs_rcs_continued=dict(
        text='DACS + RCS from source only',
        stages=lambda pair: counted('dacs_rcs', pair, continued)),
    mean_teacher=dict(text='Mean Teacher', stages=lambda pair: stages_of('mean_teacher', pair)),
    mean_teacher_unaugmented=dict(
        text='Mean Teacher without augmentation',
        stages=lambda pair: stages_of('mean_teacher_unaugmented', pair)),
    idacs=dict(text='iDACS', stages=lambda pair: stages_of('idacs', pair)),
    idacs_warmup=dict(
        text='iDACS after warm-up', stages=lambda pair: stages_of('idacs_warmup', pair)),
    adversarial_continued=dict(
        text='Adversarial from source only', stages=lambda pair: continued('adversarial', pair)),
    mean_teacher_continued=dict(
        text='Mean Teacher from source only', stages=lambda pair: continued('mean_teacher', pair)),
    idacs_continued=dict(
        text='iDACS from source only', stages=lambda pair: continued('idacs', pair)),
    camix_continued=dict(
        text='CAMix from source only', stages=lambda pair: camix(pair, continued)),
    adabn_continued=dict(text='AdaBN after 4,000 iterations', stages=adabn_continued),
    dacs_rcs=dict(text='DACS + RCS', stages=lambda pair: counted('dacs_rcs', pair)),
    dacs_rcs_fd=dict(text='DACS + RCS + FD', stages=lambda pair: counted('dacs_rcs_fd', pair)),
    dacs_rcs_fd_margins=dict(
        text='DACS + RCS + FD + margins',
        stages=lambda pair: counted('dacs_rcs_fd_margins', pair)),
    daformer=dict(text='DAFormer', stages=lambda pair: counted('daformer', pair)),
    hrda=dict(text='HRDA', stages=lambda pair: counted('hrda', pair)),
    hrda_enlarged=dict(
        text='HRDA, images enlarged', stages=lambda pair: counted('hrda_enlarged', pair)),
    mic=dict(text='MIC', stages=lambda pair: counted('mic', pair)),
    vfm_uda=dict(
        text='VFM-UDA++ without DINOv2', stages=lambda pair: counted('vfm_uda', pair)))
cells = {
    f'{pair}-{method}': methods[method]['stages'](pairs[pair])
    for pair in pairs for method in methods
}
cells.update({
    f'{pair}-dacs_{number}': few(pairs[pair], number)
    for pair in numbers for number in numbers[pair]
})
cells.update({f'{pair}-all_labels': all_labels(pairs[pair]) for pair in pairs})
cells.update({
    f'{pair}-source_only__{name}': varied('source_only', pairs[pair], name, links)
    for pair in pairs for name, links in rates.items()
})
cells.update({
    f'{pair}-dacs__{name}': varied('dacs', pairs[pair], name, cause['links'])
    for pair in pairs for name, cause in causes.items()
})
texts = {method: each['text'] for method, each in methods.items()}
texts.update({f'dacs_{number}': f'DACS + {number} labels' for number in numbers['day']})
texts.update(all_labels='All target labels')
texts.update({f'source_only__{name}': f'Source only, rate {name}' for name in rates})
texts.update({f'dacs__{name}': f'DACS, {cause["text"]}' for name, cause in causes.items()})
pair_texts = {pair: each['text'] for pair, each in pairs.items()}
# What labels are worth: methods by the number of labelled target images, and the ceiling.
value = dict(
    floor=['source_only', 'adabn', 'dacs_rcs_continued'],
    labels={'dacs': 0, **{f'dacs_{number}': number for number in numbers['day']}},
    ceiling='all_labels')
# One change at a time, on a page of its own: the method before it, and after it.
comparisons = [
    dict(
        title='From DACS to MIC, part by part',
        steps=[['dacs', 'dacs_rcs'], ['dacs_rcs', 'dacs_rcs_fd'],
               ['dacs_rcs_fd', 'dacs_rcs_fd_margins'], ['dacs_rcs_fd_margins', 'daformer'],
               ['daformer', 'mic'], ['daformer', 'hrda'], ['dacs_rcs_fd_margins', 'mic'],
               ['dacs_rcs_fd_margins', 'hrda'], ['hrda', 'hrda_enlarged'],
               ['dacs_rcs_fd_margins', 'hrda_enlarged'], ['dacs', 'mic'], ['dacs', 'hrda']]),
    dict(
        title='Weights to begin from: ImageNet or source only',
        steps=[[name, f'{name}_continued'] for name in [
            'adabn', 'adversarial', 'mean_teacher', 'idacs', 'dacs', 'camix', 'dacs_rcs'
        ]]),
    dict(
        title='The recipe beside AdaBN after as many iterations',
        steps=[['adabn_continued', 'dacs_continued'], ['adabn_continued', 'dacs_rcs_continued']]),
    dict(
        title='What may keep DACS at the level of AdaBN',
        steps=[['dacs', f'dacs__{name}'] for name in causes]),
    dict(
        title='The order of the papers, from the weights of ImageNet',
        steps=[['source_only', 'adversarial'], ['adabn', 'adversarial'],
               ['source_only', 'mean_teacher'], ['mean_teacher', 'idacs'], ['idacs', 'dacs'],
               ['idacs', 'idacs_warmup'], ['idacs_warmup', 'dacs'],
               ['idacs_warmup', 'camix'], ['idacs', 'camix'],
               ['dacs', 'camix'], ['mean_teacher', 'mean_teacher_unaugmented'],
               ['source_only', 'self_training'],
               ['self_training', 'sam'], ['source_only', 'pit'], ['adabn', 'pit'],
               ['adabn', 'pit_no_lr'], ['pit_no_prior', 'pit'], ['pit_no_lc', 'pit'],
               ['pit_no_lr', 'pit'], ['pit', 'pit_true'],
               ['pit_no_prior', 'pit_crops'], ['pit_crops_no_lr', 'pit_crops'],
               ['pit_crops', 'pit_crops_true'],
               ['adversarial', 'dast'],
               ['source_only', 'cdanet']]),
    dict(
        title='The order of the papers, from the weights of source only',
        steps=[['adabn_continued', 'adversarial_continued'],
               ['source_only', 'mean_teacher_continued'], ['adabn', 'mean_teacher_continued'],
               ['mean_teacher_continued', 'dacs_continued'],
               ['mean_teacher_continued', 'idacs_continued'],
               ['idacs_continued', 'dacs_continued'], ['idacs_continued', 'camix_continued'],
               ['dacs_continued', 'camix_continued']]),
    dict(
        title='Rare class sampling, once the weights are those of source only',
        steps=[['dacs_continued', 'dacs_rcs_continued']]),
]
del methods
both = ['day', 'dusk']
# In this order; of a level all pairs of a seed before the next seed.
levels = dict(
    a=dict(methods=['source_only', 'adabn', 'dacs', 'camix'], pairs=both, seeds=[0, 1]),
    b=dict(methods=['source_only', 'adabn', 'dacs', 'camix'], pairs=both, seeds=[2]),
    b2=dict(methods=['mic', 'dacs_rcs'], pairs=both, seeds=[0, 1, 2]),
    c=dict(
        methods=['adversarial', 'self_training', 'cdanet', 'sam', 'pit', 'dast'],
        pairs=both,
        seeds=[0, 1]),
    # A third seed of those whose order differs from their papers'.
    c2=dict(
        methods=['adversarial', 'self_training', 'sam', 'pit'], pairs=both, seeds=[2]),
    d=dict(
        methods=['daformer', 'hrda', 'hrda_enlarged', 'vfm_uda'], pairs=both, seeds=[0, 1]),
    # With `dacs_rcs` and `mic` from DACS to MIC part by part: RCS is rare class sampling, FD feature
    # distance.
    e=dict(methods=['dacs_rcs_fd', 'dacs_rcs_fd_margins'], pairs=both, seeds=[0, 1]),
    # What init_pair.py should write: one change of DACS at a time.
    recipe=dict(
        methods=['dacs_continued', 'adabn_continued', 'dacs_rcs_continued'],
        pairs=both,
        seeds=[0, 1, 2]),
    # What keeps a small mean teacher at the level of AdaBN, by day, where seeds spread less.
    causes=dict(methods=[f'dacs__{name}' for name in causes], pairs=['day'], seeds=[0, 1, 2]),
    # Why methods do not come in their papers' order, by day, where seeds spread less: each from
    # ImageNet and from source only, and the mean teacher with one part less.
    orders=dict(
        methods=[
            'mean_teacher', 'idacs', 'idacs_warmup', 'camix_continued', 'mean_teacher_continued',
            'adversarial_continued', 'idacs_continued', 'mean_teacher_unaugmented'
        ],
        pairs=['day'],
        seeds=[0, 1, 2]),
    # PIT on crops, which its labels of whole images do not describe, and its parts.
    crops=dict(methods=['pit_crops', 'pit_crops_no_lr'], pairs=both, seeds=[0, 1, 2]),
    crops_dusk=dict(methods=['pit_crops_true'], pairs=['dusk'], seeds=[0, 1, 2]),
    pit=dict(
        methods=['pit_no_prior', 'pit_no_lr', 'pit_no_lc', 'pit_true'], pairs=both, seeds=[0, 1, 2]),
    # Whether scores without labels choose the learning rate.
    rates=dict(
        methods=['source_only__1e-4', 'source_only__6e-4'], pairs=both, seeds=[0, 1, 2]),
    value=dict(
        methods=['dacs_5', 'dacs_20', 'dacs_60', 'all_labels'], pairs=both, seeds=[0, 1]),
    value_day=dict(methods=['dacs_80'], pairs=['day'], seeds=[0, 1]))
