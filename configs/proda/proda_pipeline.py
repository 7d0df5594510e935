# ProDA from raw data to the final number: 57.5 mIoU on GTA5 and 55.5 over 16 classes on SYNTHIA in
# the paper, 58.1 and 56.2 with SAM in stage 3 (SAM, Tables 4 and 5). Not trained by us. Stage 2
# starts from SimCLRv2, whose file must be given (README.md); the cells `-imagenet` do not.
#   python tools/run_pipeline.py configs/proda/proda_pipeline.py --cell r101-gta
pseudo_dir = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
teacher = 'model.fixed_teacher.checkpoint'
attention = 'model.regularizers.sam.checkpoint'
hard = dict(rule=dict(type='fixed', threshold=0.95), flip=True)


def first_stages(warmup, stage1, often={}):
    """From the warm-up to the hard labels of stage 1."""
    return [
        dict(name='warmup', type='train', config=warmup, options=often),
        dict(
            name='soft_labels',
            type='pseudo_label',
            config=warmup,
            checkpoint='{warmup}',
            rule='soft'),
        dict(name='prototypes', type='prototypes', config=stage1, checkpoint='{warmup}'),
        dict(
            name='stage1',
            type='train',
            config=stage1,
            options={
                **often, 'load_from': '{warmup}',
                'model.prototypes': '{prototypes}',
                pseudo_dir: '{soft_labels}'
            }),
        dict(name='labels1', type='pseudo_label', config=stage1, checkpoint='{stage1}', **hard),
    ]


def distilled(config, stage, before, **options):
    """A stage that learns from the one before, whose number is `before`."""
    return dict(
        name=stage,
        type='train',
        config=config,
        options={
            teacher: f'{{stage{before}}}',
            pseudo_dir: f'{{labels{before}}}',
            **options
        })


def stages_of(name, sam=False, init={}):
    stage2, stage3 = f'{name}_stage2.py', f'{name}_stage3{"-sam" if sam else ""}.py'
    module = {attention: '{attention}'} if sam else {}
    return [
        *([dict(name='attention', type='train', config=f'{name}_attention.py')] if sam else []),
        *first_stages(f'{name}_warmup.py', f'{name}_stage1.py'),
        distilled(stage2, 'stage2', 1, **init),
        dict(name='labels2', type='pseudo_label', config=stage2, checkpoint='{stage2}', **hard),
        distilled(stage3, 'stage3', 2, load_from='{stage2}', **module, **init),
        dict(name='test', type='test', config=stage3, checkpoint='{stage3}', options=module),
        dict(name='export', type='export', config=stage3, checkpoint='{stage3}', options=module),
    ]


def small(pair):
    end = f'mobilenetv2-035-deeplabv2_1xb2-1500_{pair}-240x180'
    stage2 = f'proda_{end}_stage2.py'
    last = {'train_cfg.val_interval': 1500}  # the last checkpoint only
    warmup = f'../adversarial/adversarial_{end}.py'
    return [
        *first_stages(warmup, f'proda_{end}_stage1.py', last),
        distilled(stage2, 'stage2', 1, **last),
        dict(name='test', type='test', config=stage2, checkpoint='{stage2}'),
        dict(name='export', type='export', config=stage2, checkpoint='{stage2}'),
    ]


seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
gta = 'proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512'
synthia = 'proda_r101-deeplabv2gn_1xb4-62k_synthia2cityscapes-896x512'
imagenet = {
    'model.segmentor.backbone.init_cfg.checkpoint':
    'https://download.pytorch.org/models/resnet101-63fe2227.pth'
}
cells = {
    'r101-gta': stages_of(gta),
    'r101-synthia': stages_of(synthia),
    'r101-gta-sam': stages_of(gta, sam=True),
    'r101-synthia-sam': stages_of(synthia, sam=True),
    'r101-gta-imagenet': stages_of(gta, init=imagenet),
    'r101-synthia-imagenet': stages_of(synthia, init=imagenet),
    'small-day': small('synth_street2camvid_day'),
}
