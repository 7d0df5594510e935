# All rows of CAMix's Table 2 but its own: 43.1, 48.3, 48.7, 52.1 and 51.5 mIoU in the paper. The
# report has every row's. Not run by us.
own = 'mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512'
rows = dict(mean_teacher='', cowmix='_cowmix', cutmix='_cutmix', dacs='_dacs', idacs='_idacs')

seed = 0
stages = [
    stage for name, variant in rows.items() for stage in (
        dict(name=name, type='train', config=f'{own}{variant}.py'),
        dict(
            name=f'{name}_test',
            type='test',
            config=f'{own}{variant}.py',
            checkpoint=f'{{{name}}}'))
]
