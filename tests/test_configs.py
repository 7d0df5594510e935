"""Every config of the package: names, arguments, networks, optimizers, what metafiles list."""

from __future__ import annotations

import ast
import copy
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_checks import build_model, build_optimizers, check_config, check_pipeline
from mmengine.config import Config

FOLDER = Path(__file__).parents[1] / 'configs'
FILES = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.glob('[!_]*/*.py'))}
PIPELINES = {name: path for name, path in FILES.items() if name.endswith('_pipeline.py')}
CONFIGS = {name: path for name, path in FILES.items() if name not in PIPELINES}
METHODS = sorted(path.parent.name for path in FOLDER.glob('*/metafile.yml'))
SMALL = 'cdanet/cdanet_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py'
CDANET = 'cdanet/cdanet_{}-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py'

NAME = re.compile(
    r'(?P<method>[a-z0-9-]+)_(?P<network>[a-z0-9-]+)_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<iters>\d+k?)'
    r'_(?P<data>[a-z0-9_-]+?)-(?P<crop>\d+x\d+)(?:_(?P<variant>[a-z0-9-]+))?')
NETWORKS = {
    'r101-deeplabv2': ('CeilPoolResNet', 'DeepLabV2Head'),
    'vgg16-deeplabv2': ('VGG16DeepLab', 'DeepLabV2Head'),
    'vgg16-fcn8s': ('VGG16FCN', 'FCN8sHead'),
    'mobilenetv2-deeplabv2': ('MobileNetV2', 'DeepLabV2Head'),
    'mobilenetv2-035-deeplabv2': ('MobileNetV2', 'DeepLabV2Head'),
    'r50-pspnet': ('ResNetV1c', 'PSPHead'),
    'toy': ('MobileNetV2', 'DeepLabV2Head'),
}


read = functools.cache(Config.fromfile)


def load(name: str) -> Config:
    return read(CONFIGS[name])


def bases_of(path: Path) -> list[Path]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            return [path.parent / base for base in ast.literal_eval(node.value)
                    if not base.startswith('mmseg::')]
    return []


def depth(path: Path) -> int:
    return max((1 + depth(base) for base in bases_of(path)), default=0)


@pytest.mark.parametrize('name', CONFIGS)
def test_sound(name: str) -> None:
    problems = check_config(load(name))
    assert not problems, '\n'.join(['', *problems])


@pytest.mark.parametrize('name', CONFIGS)
def test_size(name: str) -> None:
    assert depth(CONFIGS[name]) <= 3
    assert len(CONFIGS[name].read_text().splitlines()) <= 60


@pytest.mark.parametrize('name', CONFIGS)
def test_name_says_what_is_inside(name: str) -> None:
    match = NAME.fullmatch(CONFIGS[name].stem)
    assert match, f'write {NAME.pattern}'
    cfg = load(name)
    loaders = cfg.train_dataloader
    loaders = list(loaders.values()) if 'source' in loaders else [loaders]  # a stock model's
    assert match['method'].replace('-', '_') == CONFIGS[name].parent.name
    assert {int(match['batch'])} == {loader.batch_size for loader in loaders}
    assert int(match['iters'].replace('k', '000')) == cfg.train_cfg.max_iters
    student = cfg.model.get('segmentor', cfg.model)
    head = student.decode_head
    head = head.get('classifier') or head.get('head') or head
    assert (student.backbone.type, head.type) == NETWORKS[match['network']]
    names = match['data'].replace('-', '_').split('2')
    roots = [Path(loader.dataset.data_root).name for loader in loaders]
    assert roots == (names if len(names) == len(loaders) else names * 2)
    for step in loaders[0].dataset.pipeline:
        if step.type in ('Resize', 'RandomCrop'):
            size = step.scale if step.type == 'Resize' else step.crop_size[::-1]
            assert match['crop'] == '{}x{}'.format(*size)


# ------------------------------------------------------------------------------ pipelines

@pytest.mark.parametrize('name', PIPELINES)
def test_pipeline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, 'fromfile', lambda path: copy.deepcopy(read(path.resolve())))
    problems = check_pipeline(PIPELINES[name])
    assert not problems, '\n'.join(['', *problems])
    assert len(PIPELINES[name].read_text().splitlines()) <= 60
    assert name.split('/')[1].split('_')[0].replace('-', '_') == name.split('/')[0]


def test_pipeline_checker_sees_options(tmp_path: Path) -> None:
    stage = dict(name='first', type='train', config=str(CONFIGS[SMALL]))
    path = tmp_path / 'a_pipeline.py'
    path.write_text(f'stages = [{stage}]')
    assert check_pipeline(path) == []
    wrong = {'model.discriminator.in_channels': 7}
    path.write_text(f'stages = [{dict(stage, options=wrong)}]')
    assert any('numbers of classes differ' in problem for problem in check_pipeline(path))
    path.write_text(f'stages = [{dict(stage, options={"model.segmentr": 1})}]')
    (problem, ) = check_pipeline(path)
    assert 'CDANet has no key `segmentr`; write `segmentor`' in problem


# --------------------------------------------------------------------- the checker itself

BROKEN: dict[str, tuple[str, Any, str]] = {
    'top level': ('optim_wraper', {}, 'optim_wraper'),
    'model': ('model.segmentr', {}, 'segmentr'),
    'decode head': ('model.segmentor.decode_head.spatial_wieght', 1., 'spatial_wieght'),
    'classifier': ('model.segmentor.decode_head.classifier.dilation', 1, 'dilation'),
    'loss': ('model.adversarial_loss.lambda_adv', 1., 'lambda_adv'),
    'norm': ('model.segmentor.backbone.norm_cfg.epsilon', 1., 'epsilon'),
    'initialisation': ('model.segmentor.backbone.init_cfg.chekpoint', '', 'chekpoint'),
    'loader': ('train_dataloader.source.num_worker', 1, 'num_worker'),
    'data set': ('train_dataloader.source.dataset.img_sufix', '.png', 'img_sufix'),
    'transform': ('train_dataloader.source.dataset.pipeline.2.scal', 1, 'scal'),
    'missing': ('train_dataloader.target.dataset.pipeline.1', dict(type='LoadPseudoLabels'),
                'pseudo_dir'),
    'unknown type': ('val_dataloader.dataset.pipeline.1.type', 'Resise', 'Resise'),
    'wrong place': ('val_dataloader.dataset.pipeline.1.type', 'IoUMetric', 'IoUMetric'),
    'nowhere': ('env_cfg.extra', dict(type='Resize'), 'env_cfg.extra'),
    'sampler': ('val_dataloader.sampler.shufle', True, 'shufle'),
    'metric': ('val_evaluator.subset', 'camvid11', 'subset'),
    'train loop': ('train_cfg.max_iter', 1, 'max_iter'),
    'test loop': ('test_cfg.fp61', True, 'fp61'),
    'default hook': ('default_hooks.checkpoint.intervall', 1, 'intervall'),
    'custom hook': ('custom_hooks.0.intervall', 1, 'intervall'),
    'visualizer': ('visualizer.vis_backend', [], 'vis_backend'),
    'backend': ('visualizer.vis_backends.0.img_dir', '', 'img_dir'),
    'wrapper': ('model_wrapper_cfg.find_unused', True, 'find_unused'),
    'log': ('log_processor.by_epochs', True, 'by_epochs'),
    'scheduler': ('param_scheduler.0.pwoer', 1., 'pwoer'),
    'scheduler of no optimizer': ('param_scheduler', dict(generator=[]), 'generator'),
    'optimizer': ('optim_wrapper.optimizers.student.optimizer.learning_rate', 1., 'learning_rate'),
    'optimizer wrapper': ('optim_wrapper.optimizers.student.clip', {}, 'clip'),
    'all optimizers': ('optim_wrapper.accumulate', 2, 'OptimWrapper'),
    'no optimizer': ('optim_wrapper.optimizers', dict(student=dict(optimizer=dict(
        type='SGD', lr=.1))), 'without optimizer'),
    'parameter rule': ('optim_wrapper.optimizers.student.paramwise_cfg.bias_mult', 2., 'bias_mult'),
    'parameter name': ('optim_wrapper.optimizers.student.paramwise_cfg.custom_keys.decode_haed',
                       dict(lr_mult=2.), 'decode_haed'),
    'parameter setting': ('optim_wrapper.optimizers.student.paramwise_cfg.custom_keys.decode_head',
                          dict(lr=2.), '`lr`'),
    'target labels': ('train_dataloader.target.dataset.pipeline.1.type', 'LoadAnnotations',
                      'labels of the target'),
    'classes': ('model.discriminator.in_channels', 16, 'classes differ'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_checker_finds(case: str) -> None:
    path, value, finding = BROKEN[case]
    cfg = copy.deepcopy(load(SMALL))
    *parents, last = path.split('.')
    node: Any = cfg
    for key in parents:
        node = node[int(key) if isinstance(node, (list, tuple)) else key]
    node[int(last) if isinstance(node, list) else last] = value
    assert finding in '\n'.join(check_config(cfg))


def test_checker_finds_all_at_once() -> None:
    cfg = copy.deepcopy(load(SMALL))
    cfg.train_cfg.max_iter = cfg.default_hooks.timer.interval = 1
    cfg.model.discriminator.kernel = 3
    found = '\n'.join(check_config(cfg))
    assert all(key in found for key in ('`max_iter`', '`interval`', '`kernel`'))


# ------------------------------------------------------------------- what papers prescribe

def settings(name: str) -> dict[str, tuple[str, float]]:
    """Optimizer and learning rate of each parameter."""
    cfg = load(name).to_dict()
    rates = {id(param): (type(wrapper.optimizer).__name__, group['lr'])
             for wrapper in build_optimizers(cfg).values()
             for group in wrapper.optimizer.param_groups for param in group['params']}
    return {key: rates[id(param)] for key, param in build_model(cfg).named_parameters()
            if param.requires_grad}


@pytest.mark.parametrize(('network', 'backbone', 'classifier', 'discriminator'), [
    ('r101', ('SGD', 2.5e-4), ('SGD', 2.5e-3), ('Adam', 1e-4)),
    ('vgg16', ('Adam', 1e-5), ('Adam', 1e-5), ('Adam', 1e-6)),
])
def test_cdanet_optimizers(network: str, backbone: tuple[str, float],
                           classifier: tuple[str, float],
                           discriminator: tuple[str, float]) -> None:
    """Section 4.2: the attention has its own learning rate."""
    expected = {
        'student.backbone.': backbone,
        'student.decode_head.classifier.': classifier,
        **{f'student.decode_head.{part}.': ('SGD', 1e-4)
           for part in ('conv_spatial', 'spatial', 'conv_channel', 'aggregate')},
        **{f'discriminators.{view}.': discriminator for view in ('main', 'spatial', 'channel')},
    }
    met = set()
    for key, (optimizer, rate) in settings(CDANET.format(network)).items():
        (part, ) = (part for part in expected if key.startswith(part))
        assert (optimizer, rate) == (expected[part][0], pytest.approx(expected[part][1])), key
        met.add(part)
    assert met == set(expected)


@pytest.mark.parametrize('name', CONFIGS)
def test_reference_context_has_its_hook(name: str) -> None:
    cfg = load(name)
    student = cfg.model.get('segmentor', cfg.model)
    context = student.decode_head.get('test_context', 'self')
    hooks = [hook['type'] for hook in cfg.get('custom_hooks', ())]
    assert (context == 'reference') == ('ReferenceContextHook' in hooks)


def test_fcn8s_biases_learn_twice_as_fast() -> None:
    for name in CONFIGS:
        if 'fcn8s' in name:
            for key, (_, rate) in settings(name).items():
                assert rate == pytest.approx(2e-5 if key.endswith('bias') else 1e-5), key


def test_ablations_differ_in_what_they_say() -> None:
    """Tables 3 to 5: nothing but modules and their weights changes within a table."""
    modules = {None: (1., 1.), 'base': (None, None), 'cd-sam': (1., None), 'cd-cam': (None, 1.),
               'weight-0p1': (.1, .1), 'weight-10': (10., 10.)}
    seen: dict[str, dict[str, Any]] = {}
    for name in (name for name in CONFIGS if name.startswith('cdanet/') and '-120k_' in name):
        variant = NAME.fullmatch(CONFIGS[name].stem)['variant']
        if variant not in modules:
            continue
        cfg = copy.deepcopy(load(name).to_dict())
        head = cfg['model']['segmentor']['decode_head']
        weights = tuple(head.pop(f'{kind}_weight', 1.) for kind in ('spatial', 'channel'))
        assert weights == modules[variant], name
        for key, default in (('reduction', 8), ('kernel_size', 1), ('test_context', 'self')):
            assert head.pop(key, default) == default, name
        if variant == 'base':  # no attention, hence no optimizer of its own
            cfg = {key: value for key, value in cfg.items()
                   if key not in ('optim_wrapper', 'param_scheduler')}
        first = seen.setdefault(name.split('.py')[0].rsplit('_' + str(variant), 1)[0], cfg)
        assert {key: first[key] for key in cfg if key in first} == cfg, name
    assert len(seen) == 4


# ----------------------------------------------------------------------------- metafiles

@pytest.mark.parametrize('method', METHODS)
def test_metafile_lists_every_config(method: str) -> None:
    metafile = yaml.safe_load((FOLDER / method / 'metafile.yml').read_text())
    (collection, ) = metafile['Collections']
    models = metafile['Models']
    assert sorted(model['Config'] for model in models) == [
        f'configs/{name}' for name in CONFIGS if name.startswith(f'{method}/')]
    for model in models:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] == collection['Name']


def test_model_index_lists_every_metafile() -> None:
    index = yaml.safe_load((FOLDER.parent / 'model-index.yml').read_text())
    assert index['Import'] == [f'configs/{method}/metafile.yml' for method in METHODS]
    assert sorted({name.split('/')[0] for name in CONFIGS} | {'adabn'}) == METHODS
