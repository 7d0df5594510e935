"""Finds what is wrong in a config without data, weights or a GPU."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, Callable, Iterator

import mmseg.registry as mmseg_registry
import torch
from mmcv.transforms import LoadAnnotations
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import LogProcessor, Runner
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from torch import nn
from torch.utils.data import DataLoader

from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.stages.base import ConfigStage

__all__ = ['build_model', 'build_optimizers', 'check_config', 'check_pipeline']

# Where a dict with a `type` is built: its path without indices, the registry, and what its builder
# adds. The first pattern that is found in the path counts. None: the model's build checks it.
PLACES: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    (r'(norm|conv|act)_cfg$', None, ()),
    (r'init_cfg(\.override)?$', WEIGHT_INITIALIZERS, ()),
    (r'^model\..*head\.self_attention$', MODELS, ('in_channels',)),
    (r'^model\.teacher$', MODELS, ('student',)),
    (r'^model\.(mixer|augment)$', TRANSFORMS, ()),
    (r'^tta_model$', MODELS, ('module',)),
    (r'^(model|segmentor|data_preprocessor)(\.|$)', MODELS, ()),
    (r'pipeline$|\.transforms$', TRANSFORMS, ()),
    (r'datasets?$', DATASETS, ()),
    (r'sampler$', mmseg_registry.DATA_SAMPLERS, ('dataset',)),
    (r'^optim_wrapper$', mmseg_registry.OPTIM_WRAPPERS, ()),
    (r'^(optim_wrapper\.(.*\.)?)?optimizer$', mmseg_registry.OPTIMIZERS, ('params',)),
    (r'^param_scheduler(\.|$)', mmseg_registry.PARAM_SCHEDULERS, ('optimizer',)),
    (r'^train_cfg$', mmseg_registry.LOOPS, ('runner', 'dataloader')),
    (r'^(val|test)_cfg$', mmseg_registry.LOOPS, ('runner', 'dataloader', 'evaluator')),
    (r'(_|\.)evaluator$', mmseg_registry.METRICS, ()),
    (r'^(default|custom)_hooks(\.|$)', mmseg_registry.HOOKS, ()),
    (r'vis_backends$', mmseg_registry.VISBACKENDS, ('save_dir',)),
    (r'^visualizer$', mmseg_registry.VISUALIZERS, ()),
    (r'^model_wrapper_cfg$', mmseg_registry.MODEL_WRAPPERS, ('module',)),
)
# Names that configs give to parts of themselves; any other name that the runner does not take is
# taken for a mistake.
OWN_NAMES = re.compile(
    r'\w*_pipeline|\w*scale|\w+_root|\w+_dir|\w+_type|vis_backends|segmentor'
    r'|crop_size|data_preprocessor|img_ratios|norm_cfg|optimizer|tta_model'
)
# What builds another class: the key that names it, and its default.
BUILDERS = {
    'AttendedSegmentor': ('segmentor_type', 'EncoderDecoder'),
    'RandomResize': ('resize_type', 'Resize'),
}
RUNNER_NAMES = {*inspect.signature(Runner).parameters, 'custom_imports', 'model_wrapper_cfg'}
PARAMWISE_KEYS = {
    'custom_keys',
    'bias_lr_mult',
    'bias_decay_mult',
    'norm_decay_mult',
    'dwconv_decay_mult',
    'dcn_offset_lr_mult',
    'flat_decay_mult',
    'bypass_duplicate',
}
LOADER_KEYS = set(inspect.signature(DataLoader).parameters)

_models: dict[str, nn.Module] = {}


def check_config(config: Config) -> list[str]:
    """Everything that is wrong in a config, one line each; empty if it is sound."""
    cfg = _without_scope(config.to_dict())
    problems = [
        f'{name}: neither the runner nor the config itself uses this name'
        for name in cfg
        if name not in RUNNER_NAMES and not OWN_NAMES.fullmatch(name)
    ]
    for path, node in _dicts(cfg, ''):
        problems += _check_dict(path, node)
    problems += _check_target(cfg) + _check_classes(cfg)
    model = _attempt('model', problems, lambda: build_model(cfg))
    if model is not None:
        problems += _check_paramwise(cfg, model)
        wrapper = _attempt('optim_wrapper', problems, lambda: build_optimizers(cfg))
        if wrapper is not None:
            problems += _check_schedulers(cfg, wrapper)
    return problems


def check_pipeline(path: Path, cell: str | None = None) -> list[str]:
    """Everything that is wrong in a pipeline's config and in its stages' with their options."""
    try:
        pipeline = read_pipeline(path, cell=cell)
    except Exception as error:  # whatever it is, it is a finding
        return [f'{type(error).__name__}: {error}']
    return [
        f'{name}: {problem}'
        for name, stage in pipeline.stages.items()
        if isinstance(stage, ConfigStage)
        for problem in check_config(stage.load())
    ]


def build_model(cfg: dict[str, Any]) -> nn.Module:
    """The model of a config, without memory for its parameters; equal ones are built once."""
    key = repr(cfg['model'])
    if key not in _models:
        try:
            with torch.device('meta'):
                _models[key] = MODELS.build(ConfigDict(cfg['model']))
        except RuntimeError as error:
            if 'meta tensors' not in str(error):
                raise
            # mmseg's transformers read numbers from tensors; they are small here.
            _models[key] = MODELS.build(ConfigDict(cfg['model'])).to('meta')
    return _models[key]


def build_optimizers(cfg: dict[str, Any]) -> OptimWrapperDict | OptimWrapper:
    """The optimizers of a config, over the parameters of :func:`build_model`."""
    return build_optim_wrapper(build_model(cfg), cfg['optim_wrapper'])


def _attempt(path: str, problems: list[str], build: Callable[[], Any]) -> Any:
    try:
        return build()
    except Exception as error:  # whatever it is, it is a finding
        problems.append(f'{path}: {type(error).__name__}: {error}')
        return None


def _without_scope(node: Any) -> Any:
    """Without what mmengine leaves in the parts of another package's configs."""
    if isinstance(node, dict):
        return {key: _without_scope(value) for key, value in node.items() if key != '_scope_'}
    return type(node)(map(_without_scope, node)) if isinstance(node, (list, tuple)) else node


def _dicts(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from _dicts(value, f'{path}.{key}' if path else str(key))
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _dicts(value, path)


def _check_dict(path: str, node: dict[str, Any]) -> list[str]:
    if path == 'log_processor':
        return _check_arguments(path, LogProcessor, node, ())
    if re.search(r'(_|\.)dataloader(\.source|\.target)?$', path) and 'dataset' in node:
        return [
            f'{path}: DataLoader has no argument `{key}`' for key in node if key not in LOADER_KEYS
        ]
    if 'type' not in node:
        return []
    place = next((place for place in PLACES if re.search(place[0], path)), None)
    if place is None:
        return [f'{path}: nothing is known to be built here, but it has a `type`']
    _, registry, given = place
    if registry is None:
        return []
    target = registry.get(node['type'])
    if target is None:
        return [f'{path}: {node["type"]} is not in the registry `{registry.name}`']
    if node['type'] in BUILDERS:
        return _check_builder(path, target, node)
    aside = {'type', 'override'} | ({'name'} if path.endswith('.override') else set())
    arguments = {key: value for key, value in node.items() if key not in aside}
    return _check_arguments(path, target, arguments, given)


def _check_builder(path: str, builder: Any, node: dict[str, Any]) -> list[str]:
    """What it does not take itself are arguments of the class that it builds."""
    key, default = BUILDERS[node['type']]
    own = {name: node[name] for name in _parameters(builder)[0] if name in node}
    inner = {name: value for name, value in node.items() if name not in own}
    inner['type'] = own.get(key, default)
    return _check_arguments(path, builder, own, ()) + _check_dict(path, inner)


def _check_arguments(
    path: str, target: Any, arguments: dict[str, Any], given: tuple[str, ...]
) -> list[str]:
    """Bind arguments, following ``**kwargs`` into the base classes."""
    own, inherited = _parameters(target)
    unknown = [key for key in arguments if key not in own and key not in inherited]
    problems = [f'{path}: {target.__name__} has no argument `{key}`' for key in unknown]
    known = {key: value for key, value in arguments.items() if key not in unknown}
    added = {key: None for key in given if key not in known and (key in own or key in inherited)}
    try:
        inspect.signature(target).bind(**known, **added)
    except TypeError as error:
        problems.append(f'{path}: {target.__name__}: {error}')
    return problems


def _parameters(target: Any) -> tuple[set[str], set[str]]:
    """Names of a callable's own parameters, and of those that its ``**kwargs`` can be."""
    levels: list[set[str]] = []
    functions = (
        [vars(base)['__init__'] for base in target.__mro__[:-1] if '__init__' in vars(base)]
        if inspect.isclass(target)
        else [target]
    )
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        levels.append(
            {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            - {'self'}
        )
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            break
    return (levels[0], set().union(*levels[1:])) if levels else (set(), set())


def _check_target(cfg: dict[str, Any]) -> list[str]:
    """Training must not see labels of the target."""
    problems = []
    for path, node in _dicts(cfg['train_dataloader'].get('target', {}), 'train_dataloader.target'):
        transform = TRANSFORMS.get(node['type']) if path.endswith('pipeline') else None
        if inspect.isclass(transform) and issubclass(transform, LoadAnnotations):
            problems.append(f'{path}: {node["type"]} loads labels of the target')
        if (
            inspect.isclass(transform)
            and issubclass(transform, RandomCrop)
            and node.get('cat_max_ratio', 1.0) < 1
        ):
            problems.append(f'{path}: {node["type"]} looks at labels of the target')
    return problems


def _check_classes(cfg: dict[str, Any]) -> list[str]:
    """The network's classes, the discriminator's input and the data sets agree."""
    sizes = {}
    loaders = {key: cfg[key] for key in cfg if key.endswith('_dataloader') or key == 'val_cfg'}
    for path, node in _dicts(loaders, ''):
        if re.search(r'datasets?$', path) and 'type' in node:
            classes = (getattr(DATASETS.get(node['type']), 'METAINFO', None) or {}).get('classes')
            if classes:
                sizes[f'{path}.type={node["type"]}'] = len(classes)
        if node.get('type') == 'LoadImageLabels':
            sizes[f'{path}.num_classes'] = node.get('num_classes', 19)
    for path, node in _dicts(cfg['model'], 'model'):
        if 'num_classes' in node:
            sizes[f'{path}.num_classes'] = node['num_classes']
        if path == 'model.discriminator':
            sizes[f'{path}.in_channels'] = node.get('in_channels')
        if node.get('type') == 'SelfAttentionLoss' and node.get('layer', 'logits') == 'logits':
            sizes[f'{path}.self_attention'] = node['self_attention'].get('in_channels')
    return [] if len(set(sizes.values())) == 1 else [f'numbers of classes differ: {sizes}']


def _check_paramwise(cfg: dict[str, Any], model: nn.Module) -> list[str]:
    """Rules for parameters that no parameter follows do nothing, silently."""
    problems = []
    for name, optimizer in cfg['optim_wrapper'].get('optimizers', {}).items():
        path = f'optim_wrapper.optimizers.{name}.paramwise_cfg'
        rules = optimizer.get('paramwise_cfg') or {}
        problems += [f'{path}: there is no rule `{key}`' for key in rules.keys() - PARAMWISE_KEYS]
        names = [key for key, _ in model.named_parameters() if key.startswith(f'{name}.')]
        for key, rule in rules.get('custom_keys', {}).items():
            if not any(key in parameter for parameter in names):
                problems.append(f'{path}: no parameter has a name with `{key}`')
            problems += [
                f'{path}: `{key}` has the unknown rule `{field}`'
                for field in rule.keys() - {'lr_mult', 'decay_mult'}
            ]
    return problems


class _SchedulerBuilder(Runner):
    """As much of a runner as building schedulers needs."""

    train_dataloader = (None,)

    def __init__(self, optim_wrapper: OptimWrapperDict | OptimWrapper) -> None:
        self.optim_wrapper = optim_wrapper
        self._train_loop = {}


def _check_schedulers(cfg: dict[str, Any], wrapper: OptimWrapperDict | OptimWrapper) -> list[str]:
    problems: list[str] = []
    schedulers = cfg['param_scheduler']
    names = set(wrapper.keys()) if isinstance(wrapper, OptimWrapperDict) else set()
    if isinstance(schedulers, dict) and 'type' not in schedulers and set(schedulers) != names:
        problems.append(
            f'param_scheduler: for {sorted(schedulers)}, but the optimizers are {sorted(names)}'
        )
    _attempt(
        'param_scheduler',
        problems,
        lambda: _SchedulerBuilder(wrapper).build_param_scheduler(schedulers),
    )
    return problems
