# Two more scores without labels, of checkpoints that small_real.py trained: agreement with the
# teacher, and the source's error weighted as in DEV. If --reuse names their directories, nothing is
# trained again.
#   python tools/benchmark.py configs/benchmarks/small_scores.py --reuse work_dirs/small_real/*/
_base_ = './small_real.py'
title = 'Small real pairs, more scores'
description = '''
Runs of [the small real pairs](small_real.md) whose checkpoints were kept, scored again, by two more
scores without labels of the target. What choices by them cost is on [a page of its own](selection.md).
Source only is another training than there, by later code; all others have the same mIoU.
'''
comparisons, value = [], dict(_delete_=True)
root = '{{$MMSEG_UDA_DATA:data}}/'
teachers = ['dacs_rcs', 'dacs_rcs_fd', 'dacs_rcs_fd_margins', 'mic', 'hrda']
others = ['source_only', 'adversarial', 'self_training', 'cdanet', 'sam', 'pit_crops', 'dast']


def images(name, split, indices, labelled):
    """Images of a domain; without labels if they are the target's."""
    annotations = [dict(type='LoadAnnotations')] if labelled else []
    return dict(
        type='CityscapesDataset',
        data_root=root + name,
        data_prefix=dict(
            img_path=f'images/{split}', **(dict(seg_map_path=f'labels/{split}') if labelled else {})),
        img_suffix='.jpg',
        seg_map_suffix='.png',
        indices=indices,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(400, 300), interpolation='bicubic'), *annotations,
            dict(type='PackSegInputs')
        ])


# Per pair the source's validation images, and those of the target's training, as in small_real.py.
sets = dict(
    day=[images('synth_street', 'val', None, True),
         images('camvid_day', 'train', [*range(0, 305, 5)], False)],
    dusk=[images('camvid_day', 'val', [*range(0, 171, 2)], True),
          images('camvid_dusk', 'train', None, False)])


def scored(stage, pair, method):
    """A score stage with a set of both domains instead of those of small_real.py."""
    if stage['type'] != 'score':
        return stage
    options = {
        key: value
        for key, value in stage['options'].items() if not key.startswith('val_cfg.selection.')
    }
    dataset = dict(type='BothDomains', datasets=sets[pair])
    options['val_cfg.selection'] = dict(
        _delete_=True,
        unlabelled=dict(
            dataloader=dict(batch_size=2, num_workers=1, dataset=dataset),
            evaluator=dict(type='LabelFreeMetric'),
            with_teacher=method in teachers))
    return dict(stage, options=options)


cells = {
    f'{pair}-{method}': [
        scored(stage, pair, method) for stage in _base_.cells[f'{pair}-{method}']
        if stage['type'] != 'cost'
    ]
    for pair in sets for method in [*teachers, *others]
}
levels = dict(
    _delete_=True,
    scores=dict(methods=[*teachers, *others], pairs=['day', 'dusk'], seeds=[0, 1]))
