"""What papers prescribe, config by config: settings, optimizers, and what they share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from config_files import ALL, load

from mmseg_uda.config.building import build_model, build_optimizers

CDANET = 'cdanet/cdanet_{}-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py'
GTA, SYNTHIA = 'gta2cityscapes-1280x720', 'synthia2cityscapes-1280x760'
SAM = f'sam/sam_r101-deeplabv2_1xb1-120k_{GTA}.py'
STAGE_A = SAM.replace('.py', '_attention.py')
STOCK = 'sam/sam_r50-pspnet_4xb2-40k_cityscapes-1024x512.py'
DAST = f'dast/dast_r101-deeplabv2_1xb1-150k_{GTA}.py'


def settings(name: str) -> dict[str, tuple[str, float]]:
    """Optimizer and learning rate of each parameter."""
    cfg = load(name).to_dict()
    model = build_model(cfg)
    rates = {
        id(param): (type(wrapper.optimizer).__name__, group['lr'])
        for wrapper in build_optimizers(cfg, model).values()
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    return {key: rates[id(param)] for key, param in model.named_parameters() if param.requires_grad}


@pytest.mark.parametrize(
    ('network', 'backbone', 'classifier', 'discriminator'),
    [
        ('r101', ('SGD', 2.5e-4), ('SGD', 2.5e-3), ('Adam', 1e-4)),
        ('vgg16', ('Adam', 1e-5), ('Adam', 1e-5), ('Adam', 1e-6)),
    ],
)
def test_cdanet_optimizers(
    network: str,
    backbone: tuple[str, float],
    classifier: tuple[str, float],
    discriminator: tuple[str, float],
) -> None:
    """Section 4.2: the attention has its own learning rate."""
    expected = {
        'student.backbone.': backbone,
        'student.decode_head.classifier.': classifier,
        **{
            f'student.decode_head.{part}.': ('SGD', 1e-4)
            for part in ('conv_spatial', 'spatial', 'conv_channel', 'aggregate')
        },
        **{f'discriminators.{view}.': discriminator for view in ('main', 'spatial', 'channel')},
    }
    met = set()
    for key, (optimizer, rate) in settings(CDANET.format(network)).items():
        (part,) = (part for part in expected if key.startswith(part))
        assert (optimizer, rate) == (expected[part][0], pytest.approx(expected[part][1])), key
        met.add(part)
    assert met == set(expected)


def rates_of(name: str, expected: dict[str, tuple[str, float]]) -> None:
    """Assert each parameter's optimizer and rate; the longest prefix counts, all are met."""
    met = set()
    for key, (optimizer, rate) in settings(name).items():
        part = max((part for part in expected if key.startswith(part)), key=len)
        assert (optimizer, rate) == (expected[part][0], pytest.approx(expected[part][1])), key
        met.add(part)
    assert met == set(expected)


def decay_of(name: str) -> Any:
    (scheduler,) = load(name).param_scheduler
    return scheduler.get('end') if scheduler.type == 'PolyLR' else scheduler.get('step_size')


@pytest.mark.parametrize(
    ('network', 'data', 'form', 'domains', 'weight'),
    [
        ('r101-deeplabv2', GTA, 'residual', ('source', 'target'), 0.1),  # (8), (10)
        ('r101-deeplabv2', SYNTHIA, 'attended', ('target',), 0.1),  # (9), (11)
        ('vgg16-fcn8s', GTA, 'residual', ('source', 'target'), 0.001),
        ('vgg16-fcn8s', SYNTHIA, 'residual', ('source', 'target'), 0.001),
    ],
)
def test_sam_settings(
    network: str, data: str, form: str, domains: tuple[str, ...], weight: float
) -> None:
    """Sections 4.2 and 5.1, Appendix A.1."""
    name = f'sam_{network}_1xb1-120k_{data}'
    model = load(f'sam/{name}.py').model
    assert model.type == 'SelfTraining'
    sam = model.regularizers.sam
    assert (sam.form, sam.domains, sam.loss_weight, sam.loss_type) == (form, domains, weight, 'l1')
    assert sam.checkpoint == f'work_dirs/{name}_attention/iter_120000.pth'
    attention = load(f'sam/{name}_attention.py').model
    head = attention.segmentor.decode_head
    assert (attention.type, head.attend, head.skip) == ('SourceOnly', 'logits', True)
    assert {**sam.self_attention, 'in_channels': None} == {
        **head.self_attention,
        'in_channels': None,
    }
    pseudo = f'self_training/self-training_{network}_1xb1-120k_{data}.py'
    without = copy.deepcopy(load(f'sam/{name}.py').to_dict())
    del without['model']['regularizers']
    assert without == load(pseudo).to_dict()


@pytest.mark.parametrize('pair', ['synth_street2camvid_day', 'camvid_day2camvid_dusk'])
def test_small_sam_is_pseudo_only_and_its_loss(pair: str) -> None:
    end = f'mobilenetv2-035-deeplabv2_1xb2-1500_{pair}-240x180.py'
    plain, sam = (
        load(f'{name}_{end}').to_dict() for name in ('self_training/self-training', 'sam/sam')
    )
    assert sam['model'].pop('regularizers').keys() == {'sam'}
    assert sam == plain


def test_sam_optimizers() -> None:
    """Section 5.1: one optimizer for the segmentor and, in stage A, the self-attention."""
    expected = {'student.backbone.': ('SGD', 2.5e-4), 'student.decode_head.': ('SGD', 2.5e-3)}
    for name in (SAM, STAGE_A, SAM.replace('sam/sam', 'self_training/self-training')):
        rates_of(name, expected)
        assert decay_of(name) == 120000
    assert any('.self_attention.' in key for key in settings(STAGE_A))
    assert not any('.self_attention.' in key for key in settings(SAM))
    for name in ALL:
        if name.startswith(('sam/', 'self_training/')) and '-fcn8s_' in name:
            assert decay_of(name) == 50000
            assert {optimizer for optimizer, _ in settings(name).values()} == {'Adam'}


@pytest.mark.parametrize('data', [GTA, SYNTHIA])
@pytest.mark.parametrize(('network', 'head'), [('r101', 2.5e-3), ('vgg16', 2.5e-4)])
def test_dast_optimizers(network: str, head: float, data: str) -> None:
    """Implementation Details; the published code's rounds have one group."""
    stage = f'dast/dast_{network}-deeplabv2_1xb1-150k_{data}.py'
    again = stage.replace('150k', '20k').replace('.py', '_round.py')
    discriminators = {'student.attention.': ('Adam', 1e-4), 'discriminators.': ('Adam', 1e-4)}
    rates_of(
        stage,
        {
            'student.backbone.': ('SGD', 2.5e-4),
            'student.decode_head.': ('SGD', head),
            **discriminators,
        },
    )
    rates_of(again, {'student.': ('SGD', 2e-4), **discriminators})
    assert (decay_of(stage), decay_of(again)) == (250000, 100000)
    for name in (stage, again):
        for part in ('student.attention', 'discriminators'):
            assert load(name).optim_wrapper.optimizers[part].optimizer.betas == (0.9, 0.99)
    assert load(stage).model.get('norm_statistics', 'both') == 'both'
    assert load(again).model.norm_statistics == 'frozen'


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in ALL
        if name.startswith('dast/') and not name.endswith('_baseline.py')  # AdaptSegNet
    ],
)
def test_dast_adversaries(name: str) -> None:
    """Least squares without 1/2, 0.01 for both; the discoverer halves channels."""
    model = load(name).model
    assert model.adversarial_loss == dict(
        type='AdversarialLoss', mode='least_squares', loss_weight=0.01, disc_weight=1.0
    )
    if model.type == 'DAST':
        discoverer = model.segmentor.attention.discriminator
        width = discoverer.in_channels
        assert discoverer.channels == (width // 2, width // 4, width // 8)
        assert (discoverer.kernel_size, discoverer.stride) == (3, 1)
        assert discoverer.get('padding', 1) == 1
    else:
        assert model.type == 'Adversarial'
        assert name.endswith('_mse.py')


@pytest.mark.parametrize('data', [GTA, SYNTHIA])
def test_dast_selects_on_translated_source(data: str) -> None:
    cfg = load(f'dast/dast_r101-deeplabv2_1xb1-150k_{data}_select.py')
    source = cfg.train_dataloader.source.dataset
    for name, part in cfg.val_cfg.selection.items():
        dataset = part.dataloader.dataset
        assert (dataset.type, Path(dataset.data_root).name) == (source.type, name)
        assert dataset.pipeline[1] == source.pipeline[2]  # one Resize
    assert cfg.default_hooks.checkpoint.save_best == f'{cfg.val_cfg.mean}/mIoU'


SEGMENTING = [name for name in ALL if not name.startswith('cyclegan/')]
# What came later has images and weights of its own, see test_daformer_configs.py.
ON_BENCHMARKS = [
    name
    for name in SEGMENTING
    if '2cityscapes-' in name
    and not name.startswith(('daformer/', 'hrda/', 'mic/', 'vfm_uda/'))
    and 'dinov2' not in name
]
# By the config's network. CAMix' code, and so the mean teachers of its tables, has a file of its
# own; SegFormer is not in the papers.
WEIGHTS = {
    'r101-deeplabv2': 'DeepLab_resnet_pretrained_init-f81d91e8.pth',
    'vgg16-deeplabv2': 'vgg16-00b39a1b.pth',
    'vgg16-fcn8s': 'vgg16-00b39a1b.pth',
}


@pytest.mark.parametrize('name', ON_BENCHMARKS)
def test_weights_and_images_are_those_of_the_papers_code(name: str) -> None:
    cfg = load(name)
    proda = name.startswith('proda/')
    for step in images_of(cfg):
        if step['type'] in ('Resize', 'RandomResize'):
            kernel = step.get('interpolation', 'bilinear')
            assert (kernel, step['backend']) == ('bilinear' if proda else 'bicubic', 'pillow')
    segmentor = cfg.model.get('segmentor', cfg.model)
    preprocessor = segmentor.data_preprocessor
    if 'mit-b0' in name:  # with RGB images and weights of their own
        assert preprocessor.bgr_to_rgb
        return
    if proda:
        assert (preprocessor.mean, preprocessor.std) == ([0.0] * 3, [255.0] * 3)
        assert preprocessor.bgr_to_rgb
        file = Path(segmentor.backbone.init_cfg.checkpoint).name
        later = '_stage2' in name or '_stage3' in name
        assert file == ('simclr_r101_1x_sk0.pth' if later else 'resnet101-63fe2227.pth')
        return
    assert preprocessor.mean == [104.00698793, 116.66876762, 122.67891434]
    assert (preprocessor.std, preprocessor.bgr_to_rgb) == ([1.0] * 3, False)
    _, network, _ = name.split('/')[1].split('_', 2)
    expected = WEIGHTS[network]
    camix = ('camix/', 'mean_teacher/', 'source_only/source-only_r101-deeplabv2_1xb2-250k')
    if name.startswith(camix) and not name.endswith('_dast.py'):
        expected = 'resnet101COCO-41f33a49.pth'
    assert segmentor.backbone.init_cfg.checkpoint.endswith(f'/{expected}')


def images_of(node: Any) -> Iterator[dict[str, Any]]:
    """Find the steps of all pipelines."""
    for key, value in node.items():
        if key == 'pipeline':
            yield from value
        elif isinstance(value, dict):
            yield from images_of(value)


@pytest.mark.parametrize('name', SEGMENTING)
def test_reference_context_has_its_hook(name: str) -> None:
    cfg = load(name)
    student = cfg.model.get('segmentor', cfg.model)
    context = student.decode_head.get('test_context', 'self')
    hooks = [hook['type'] for hook in cfg.get('custom_hooks', ())]
    assert (context == 'reference') == ('ReferenceContextHook' in hooks)


def test_fcn8s_biases_learn_twice_as_fast() -> None:
    for name in ALL:
        if 'fcn8s' in name and '_1xb4-200k_' not in name:  # PIT's, which has SGD
            for key, (_, rate) in settings(name).items():
                assert rate == pytest.approx(2e-5 if key.endswith('bias') else 1e-5), key


def flat(node: Any, path: str = '') -> dict[str, Any]:
    """Leaves of a config by dotted path."""
    if isinstance(node, dict) and node:
        return {
            key: value
            for name, child in node.items()
            for key, value in flat(child, f'{path}.{name}' if path else name).items()
        }
    return {path: node}


@pytest.mark.parametrize('network', ['r101', 'vgg16'])
def test_mse_is_dast_without_the_discoverer(network: str) -> None:
    name = DAST.replace('r101', network)
    full, mse = (flat(load(each).to_dict()) for each in (name, name.replace('.py', '_mse.py')))
    own = ('model.segmentor.attention.', 'optim_wrapper.optimizers.student.attention.')
    rest = {key: value for key, value in full.items() if not key.startswith(own)}
    default = dict(
        zip(('channels', 'kernel_size', 'stride', 'padding'), ((64, 128, 256, 512), 4, 2, 1))
    )
    assert mse.pop('model.type') == 'Adversarial'
    assert {key: rest.pop(f'model.discriminator.{key}') for key in default} == default
    for key in ('model.type', 'model.segmentor.type', 'model.segmentor.segmentor_type'):
        rest.pop(key)
    assert mse.pop('model.segmentor.type') == 'EncoderDecoder'
    assert rest == mse


def test_mixing_is_one_entry() -> None:
    """SAM joins other methods by a regulariser and nothing else."""
    for method in ('adversarial', 'cdanet'):
        mixed = copy.deepcopy(load(SAM.replace('.py', f'_{method}.py')).to_dict())
        assert mixed['model'].pop('regularizers') == load(SAM).model.regularizers.to_dict() | {
            'sam': {
                key: value
                for key, value in load(SAM).model.regularizers.sam.to_dict().items()
                if key != 'loss_type'
            }
        }
        assert mixed == load(f'{method}/{method}_{SAM.partition("_")[2]}').to_dict()
    stock = load(STOCK)
    assert stock.train_cfg.type == 'IterBasedTrainLoop'
    assert stock.model.type == 'EncoderDecoder'
    head = load(STOCK.replace('.py', '_attention.py')).model.decode_head
    assert head.classifier == stock.model.decode_head.head


def test_adversarial_levels_are_adaptsegnets() -> None:
    """The single level, a classifier on layer3 with a fifth of the weight, and its rate."""
    for data in (GTA, SYNTHIA):
        name = f'adversarial/adversarial_r101-deeplabv2_1xb1-150k_{data}_multi.py'
        one = f'adversarial/adversarial_r101-deeplabv2_1xb1-120k_{data}.py'
        multi, single = (flat(load(each).to_dict()) for each in (name, one))
        changed = {key for key in {*multi, *single} if multi.get(key) != single.get(key)}
        assert {key for key in changed if 'auxiliary_head.' not in key} == {
            'model.auxiliary_weight',
            'model.segmentor.backbone.out_indices',
            'model.segmentor.decode_head.in_index',
            'train_cfg.max_iters',
        }
        rates = {'student.backbone.': ('SGD', 2.5e-4), 'student.': ('SGD', 2.5e-3)}
        rates_of(name, {**rates, 'discriminators.': ('Adam', 1e-4)})
        assert decay_of(name) == 250000
        head = load(name).model.segmentor.auxiliary_head
        assert (head.in_channels, head.in_index, head.loss_decode.loss_weight) == (1024, 0, 0.1)
        advent = f'advent/advent_r101-deeplabv2_1xb1-120k_{data}.py'
        changes = flat(load(advent).to_dict())
        assert {key for key in changes if changes[key] != multi.get(key)} == {
            'model.align',
            'train_cfg.max_iters',
        }
        rates_of(advent.replace('.py', '_minent.py'), rates)


@pytest.mark.parametrize('data', ['gta2cityscapes', 'synthia2cityscapes'])
def test_proda_stages(data: str) -> None:
    """Rates of the published code, and the values of the paper."""
    stem = f'proda/proda_r101-deeplabv2gn_1xb4-62k_{data}-896x512_'
    stage1, stage2, stage3, sam = (
        load(f'{stem}{stage}.py') for stage in ('stage1', 'stage2', 'stage3', 'stage3-sam')
    )
    rates_of(f'{stem}stage1.py', {'student.': ('SGD', 1e-4)})
    heads = {'student.backbone.': ('SGD', 6e-4), 'student.decode_head.': ('SGD', 6e-3)}
    rates_of(f'{stem}stage2.py', heads)
    assert decay_of(f'{stem}stage3.py') == 90000
    lambdas = [stage1.model[f'lambda_{key}'] for key in ('ce', 'rce', 'reg', 'structure')]
    assert lambdas == [0.1, 1.0, 0.1 if data.startswith('gta') else 0.0, 10.0]
    assert stage1.model.teacher.alpha == 0.999
    view = stage1.model.weak_view
    assert [round(2048 * ratio) for ratio in view.ratio] == pytest.approx([1100, 3300], abs=1)
    assert view == stage2.model.weak_view
    assert stage2.model.fixed_teacher.segmentor == stage1.model.segmentor
    assert stage3.model.fixed_teacher.segmentor == stage2.model.segmentor
    regularizer = sam.to_dict()['model']['regularizers']['sam']
    assert regularizer['loss_weight'] == 0.005
    assert (regularizer['form'], regularizer['domains']) == (
        ('residual', ('source', 'strong')) if data.startswith('gta') else ('attended', ('strong',))
    )
    without = copy.deepcopy(sam.to_dict())
    del without['model']['regularizers']
    assert without == stage3.to_dict()
