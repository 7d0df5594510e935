"""Each row of a paper's table differs from the row beside it in what the paper changes."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest
from config_files import load

from mmseg_uda.config.places import ALL, RUNNER_NAMES, find_class

GTA, SYNTHIA = 'gta2cityscapes-{}', 'synthia2cityscapes-{}'
HEAD, UNITS = 'model.segmentor.decode_head', 'model.segmentor.auxiliary_head'
ADVERSARY = 'model.adversarial_loss'
OPTIMIZERS = 'optim_wrapper.optimizers.student'
SAM, TARGET = 'model.regularizers.sam', 'train_dataloader.target'


@functools.cache
def defaults(name: str) -> dict[str, Any]:
    """Arguments of a class that a config may leave out."""
    cls = find_class(name, ALL)
    parameters = inspect.signature(cls).parameters.values() if inspect.isclass(cls) else ()
    return {
        each.name: each.default
        for each in parameters
        if each.default is not inspect.Parameter.empty
    }


def leaves(node: Any, path: str = '') -> dict[str, Any]:
    """Leaves by dotted path, with the defaults of constructors where a config leaves them out."""
    if isinstance(node, (list, tuple)) and any(isinstance(each, dict) for each in node):
        node = dict(enumerate(node))
    if not isinstance(node, dict) or not node:
        return {path: tuple(node) if isinstance(node, list) else node}
    if isinstance(node.get('type'), str):
        node = {**defaults(node['type']), **node}
    found: dict[str, Any] = {}
    for key, child in node.items():
        found.update(leaves(child, f'{path}.{key}' if path else str(key)))
    return found


@functools.cache
def values(name: str) -> dict[str, Any]:
    """What a runner reads of a config, by dotted path."""
    content = load(name).to_dict()
    return leaves({key: content[key] for key in content.keys() & RUNNER_NAMES})


def changes(one: str, other: str) -> set[str]:
    """Dotted paths of the values that differ."""
    first, second = values(one), values(other)
    missing = object()
    return {
        path
        for path in first.keys() | second.keys()
        if first.get(path, missing) != second.get(path, missing)
    }


def of(method: str, network: str, data: str, *rows: str) -> list[str]:
    stem = {
        'cdanet': f'cdanet/cdanet_{network}_1xb1-120k_{data}',
        'sam': f'sam/sam_{network}_1xb1-120k_{data}',
        'self_training': f'self_training/self-training_{network}_1xb1-120k_{data}',
        'pit': f'pit/pit_{network}_1xb4-200k_{data}',
        'dast': f'dast/dast_{network}_1xb1-150k_{data}',
        'camix': f'camix/camix_{network}_1xb2-250k_{data}',
        'mean_teacher': f'mean_teacher/mean-teacher_{network}_1xb2-250k_{data}',
        'source_only': f'source_only/source-only_{network}_{data}',
    }[method]
    return [f'{stem}_{row}.py' if row else f'{stem}.py' for row in rows]


R101, VGG, FCN = 'r101-deeplabv2', 'vgg16-deeplabv2', 'vgg16-fcn8s'
GTA720, SYN760 = 'gta2cityscapes-1280x720', 'synthia2cityscapes-1280x760'
PAIRS: list[tuple[list[str], set[str]]] = []
for network in (R101, VGG):  # CDANet, Tables 3 and 4; without attention its optimizer goes too
    for data in (GTA720, SYN760):
        cells = (network, data)
        PAIRS += [
            (of('cdanet', *cells, 'cd-sam', ''), {f'{HEAD}.channel_weight'}),
            (of('cdanet', *cells, 'cd-cam', ''), {f'{HEAD}.spatial_weight'}),
        ]
both = {f'{HEAD}.spatial_weight', f'{HEAD}.channel_weight'}
PAIRS += [
    (of('cdanet', VGG, GTA720, row, ''), both)
    for row in ('weight-0p1', 'weight-10')  # Table 5
]
PAIRS.append((of('cdanet', R101, GTA720, 'base', 'cd-sam'), {f'{HEAD}.spatial_weight'}))
form, domains = f'{SAM}.form', f'{SAM}.domains'
for network, data in ((R101, GTA720), (FCN, GTA720), (FCN, SYN760)):  # SAM, Tables 1 and A.1
    cells = (network, data)
    PAIRS += [
        (of('sam', *cells, 'attended', ''), {form}),
        (of('sam', *cells, 'target-only', ''), {domains}),
        (
            of('sam', *cells, 'no-conv', ''),
            {f'{SAM}.self_attention.with_conv', f'{SAM}.checkpoint'},
        ),
        (of('sam', *cells, 'no-skip', ''), {f'{SAM}.checkpoint'}),
        (of('sam', *cells, 'attention-no-skip', 'attention'), {f'{HEAD}.skip'}),
    ]
    if network == FCN:
        PAIRS.append((of('sam', *cells, 'attended-target-only', 'target-only'), {form}))
PAIRS += [
    (of('sam', R101, SYN760, 'both-domains', ''), {domains}),
    (of('sam', R101, SYN760, 'residual-both-domains', 'both-domains'), {form}),
    (of('sam', R101, GTA720, 'kl', ''), {f'{SAM}.loss_type'}),  # Table A.5
    (of('sam', R101, GTA720, 'cosine', ''), {f'{SAM}.loss_type'}),
    (of('sam', R101, GTA720, 'kl-reversed', 'kl'), {f'{SAM}.direction'}),
    (
        of('sam', R101, GTA720, 'features', ''),
        {f'{SAM}.layer', f'{SAM}.checkpoint', f'{SAM}.self_attention.in_channels'},
    ),
]
loss = {f'{ADVERSARY}.{key}' for key in ('mode', 'loss_weight', 'disc_weight')}
for network in (R101, VGG):  # DAST, Table 3; test_paper_configs.py has the step from mse to 2d
    PAIRS += [
        (of('dast', network, GTA720, 'baseline', 'mse'), loss),
        (of('dast', network, GTA720, '2d', ''), {'model.segmentor.attention.attend'}),
        (of('dast', network, GTA720, 'aspp2', ''), {f'{HEAD}.aspp_branches'}),
    ]
PAIRS.append(
    (
        of('dast', R101, GTA720, 'projection', ''),
        {'model.segmentor.backbone.projection_shortcut'},
    )
)
for network in (R101, FCN):  # PIT, Tables 3 to 5
    for data in ('gta2cityscapes-1280x640', SYN760):
        cells = (network, data)
        PAIRS += [
            (of('pit', *cells, 'no-lc', ''), {f'{UNITS}.loss_decode.loss_weight'}),
            (of('pit', *cells, 'no-lr-source', ''), {f'{UNITS}.loss_reconstruction.domains'}),
            *(
                (of('pit', *cells, row, ''), {f'{UNITS}.r'})
                for row in ('unit-0p5', 'unit-1', 'unit-1p5', 'units-2', 'units-4')
            ),
            (
                of('pit', *cells, 'weak', ''),
                {
                    f'{UNITS}.image_label',
                    f'{TARGET}.dataset.pipeline.1.label_file',
                    f'{TARGET}.dataset.pipeline.1.presence',
                },
            ),
        ]
CROP = 'gta2cityscapes-512x512'
IDACS = of('mean_teacher', R101, CROP, 'idacs')
SP, CE, MSE, CAMIX = of('camix', R101, CROP, 'sp', 'ce', 'mse', '')
meta = {f'model.mixer.meta_classes.{key}' for key in (5, 6, 7, 12)} | {'model.mixer.meta_classes'}
PAIRS += [
    ([*IDACS, SP], {'model.mixer.prior'}),  # CAMix, Table 4
    ([SP, CE], meta),
    (
        [CE, MSE],  # Table 5
        {'model.consistency.kind', 'model.consistency.target', 'model.label_weight'},
    ),
    (
        of('mean_teacher', R101, CROP, 'dacs', 'idacs-no-warmup'),
        {'model.mixer.direction'},
    ),
]


@pytest.mark.parametrize(('names', 'expected'), PAIRS, ids=[' '.join(names) for names, _ in PAIRS])
def test_rows_differ_in_what_the_paper_changes(names: list[str], expected: set[str]) -> None:
    assert changes(*names) == expected


def parts(*names: str) -> set[str]:
    """The changed paths up to their third part."""
    return {'.'.join(path.split('.')[:2]) for path in changes(*names)}


def test_rows_that_add_or_replace_a_part() -> None:
    """Table 1 of SAM; no-lr of PIT; CDANet without attention; Tables 2, 4, 6 of CAMix."""
    for network in (R101, FCN):
        for data in (GTA720, SYN760):
            pseudo_only = of('self_training', network, data, '')
            assert parts(*pseudo_only, *of('sam', network, data, '')) == {'model.regularizers'}
    for data in ('gta2cityscapes-1280x640', SYN760):
        changed = changes(*of('pit', R101, data, 'no-lr', ''))
        assert all(path.startswith(f'{UNITS}.loss_reconstruction') for path in changed)
    for data in (GTA720, SYN760):
        changed = changes(*of('cdanet', VGG, data, 'base', 'cd-sam'))
        assert {path for path in changed if path.startswith('model')} == {f'{HEAD}.spatial_weight'}
        others = {path.split('.')[0] for path in changed if not path.startswith('model')}
        assert others == {'optim_wrapper', 'param_scheduler'}
    teachers = of('mean_teacher', R101, CROP, 'cowmix', 'cutmix', 'dacs', 'idacs', 'sigmask')
    for name in teachers:
        part = 'significance' if name.endswith('sigmask.py') else 'mixer'
        expected = {f'model.{part}'} | ({'model.consistency'} if part != 'mixer' else set())
        assert parts(*of('mean_teacher', R101, CROP, ''), name) == expected
    assert parts(CE, CAMIX) == {'model.significance', 'model.consistency'}
    assert not any('ConsistencyLoss' in path for path in changes(CE, CAMIX))


@pytest.mark.parametrize('network', [R101, FCN])
@pytest.mark.parametrize('data', ['gta2cityscapes-1280x640', SYN760])
def test_pits_source_only_is_l_f_alone(network: str, data: str) -> None:
    """The same images, batches and optimizer of all that is left (Sec. 5.2)."""
    source_only = f'source_only/source-only_{network}_1xb4-200k_{data}.py'
    assert {
        path
        for path in changes(source_only, *of('pit', network, data, ''))
        if not path.startswith((f'{UNITS}', f'{TARGET}.dataset.pipeline'))
        and (path.startswith('model.segmentor') or not path.startswith('model'))
    } == {f'{OPTIMIZERS}.paramwise_cfg.custom_keys.auxiliary_head.lr_mult'}
    cfg = load(source_only)
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler[0].end) == (200000, 200000)
    optimizer = cfg.optim_wrapper.optimizers.student.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum) == ('SGD', 2.5e-5, 0.9)
    assert cfg.train_dataloader.source.batch_size == 4
    steps = [step.type for step in cfg.train_dataloader.target.dataset.pipeline]
    assert steps == ['LoadImageFromFile', 'Resize', 'PackUDAInputs']


@pytest.mark.parametrize('data', ['gta2cityscapes', 'synthia2cityscapes'])
def test_camixs_source_only_is_its_supervised_part(data: str) -> None:
    end = f'r101-deeplabv2_1xb2-250k_{data}-512x512.py'
    one, other = f'source_only/source-only_{end}', f'mean_teacher/mean-teacher_{end}'
    assert {
        path for path in changes(one, other) if not path.startswith(('model.', 'custom_hooks'))
    } == set()
    assert load(one).model.segmentor == load(other).model.segmentor


@pytest.mark.parametrize('data', [GTA720, SYN760])
def test_dasts_source_only_has_its_optimizer(data: str) -> None:
    one = f'source_only/source-only_{VGG}_1xb1-120k_{data}_sgd.py'
    (dast,) = of('dast', VGG, data, '')
    mine, theirs = (load(name).optim_wrapper.optimizers.student for name in (one, dast))
    assert (
        mine.optimizer
        == theirs.optimizer
        == dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4)
    )
    assert mine.get('paramwise_cfg') is theirs.paramwise_cfg is None
    assert load(one).param_scheduler == load(dast).param_scheduler
