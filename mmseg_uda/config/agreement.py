"""Parts of a config that must fit each other."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.optim import OptimWrapperDict
from mmengine.registry import WEIGHT_INITIALIZERS
from mmseg.models import EncoderDecoder
from mmseg.registry import DATASETS, OPTIM_WRAPPER_CONSTRUCTORS, TRANSFORMS
from torch import nn
from torch.nn.modules import batchnorm, instancenorm
from torch.utils.data import DataLoader

from mmseg_uda.config.building import build_optimizers, build_schedulers, explain
from mmseg_uda.config.domains import check_sources
from mmseg_uda.config.loaders import check_loaders
from mmseg_uda.config.method import check_method
from mmseg_uda.config.places import ANYWHERE, CONSTRUCTORS, Node, find_class
from mmseg_uda.config.problems import Problem
from mmseg_uda.config.signatures import is_stock, signature_of
from mmseg_uda.config.similar import nearest

__all__ = ['check_agreement', 'check_layers', 'check_optimizers']

HEAD = re.compile(r'^model\..*head')
# Of inference; the last one is a depth estimator's.
MODES = ('whole', 'slide', 'slide_flip')
# Heads that learn something else than the classes.
OTHER_LABELS = ('STDCHead',)


def check_agreement(content: Mapping[str, Any], nodes: list[Node]) -> Iterator[Problem]:
    """Find parts that do not fit each other, whatever each is by itself.

    Args:
        content: The config in built-in types.
        nodes: All dicts in it from which something is built.
    """
    for check in CHECKS:
        yield from check(nodes)
    yield from check_sources(content)
    yield from _check_constructor(content, nodes)
    scaled = _get(content.get('auto_scale_lr'), 'enable')
    if scaled and _get(content.get('train_dataloader'), 'source'):
        text = 'expected False, as each domain has its own batch size, but got True; set lr instead'
        yield Problem('auto_scale_lr.enable', text)
    yield from check_method(content, nodes)


def _check_classes(nodes: list[Node]) -> Iterator[Problem]:
    """The network's classes, the discriminator's input and the datasets agree."""
    counts = [count for node in nodes for count in _class_counts(node)]
    sizes = {path: size for path, size in counts if isinstance(size, int) and size > 0}
    if len(set(sizes.values())) > 1:
        expected, _ = Counter(sizes.values()).most_common(1)[0]
        example = next(path for path, size in sizes.items() if size == expected)
        for path, size in sizes.items():
            if size != expected:
                yield Problem(
                    path,
                    f'numbers of classes differ: expected {expected}, as {example} has, '
                    f'but got {size!r}; write {expected}',
                )


def _check_subsets(nodes: list[Node]) -> Iterator[Problem]:
    """Subsets of the classes hold no other class."""
    metrics = [node for node in nodes if node.name == 'SubsetIoUMetric']
    counts = (_class_counts(node) for node in (nodes if metrics else ()))
    sizes = [size for found in counts for _, size in found if isinstance(size, int)]
    for node in metrics:
        subsets = node.cfg.get('subsets')
        for name, ids in subsets.items() if isinstance(subsets, Mapping) and sizes else ():
            beyond = [each for each in ids if isinstance(each, int) and each >= max(sizes)]
            if beyond:
                text = f'expected train ids in 0..{max(sizes) - 1}, but got {beyond[0]}'
                yield Problem(f'{node.path}.subsets.{name}', text)


def _class_counts(node: Node) -> Iterator[tuple[str, Any]]:
    """Key path and number, wherever a part says how many classes there are."""
    path, cfg, target = node.path, node.cfg, node.target
    if node.place.registries == (DATASETS,) and not cfg.get('reduce_zero_label'):
        classes = _get(cfg.get('metainfo') or getattr(target, 'METAINFO', None), 'classes')
        if isinstance(classes, (list, tuple)):
            yield path, len(classes)
    elif node.place.registries == (TRANSFORMS,) and target is not None:
        signature = signature_of(target)
        if 'num_classes' in signature.hints:
            default = signature.defaults.get('num_classes')
            yield f'{path}.num_classes', cfg.get('num_classes', default)
    elif path == 'model' and 'segmentor' in cfg and is_stock(target, ('mmseg_uda',)):
        yield f'{path}.discriminator.in_channels', _get(cfg.get('discriminator'), 'in_channels')
    elif node.name == 'SelfAttentionLoss' and cfg.get('layer', 'logits') == 'logits':
        yield f'{path}.self_attention.in_channels', _get(cfg.get('self_attention'), 'in_channels')
    elif HEAD.search(path) and node.name not in OTHER_LABELS:
        yield f'{path}.num_classes', cfg.get('num_classes')
        weights = cfg.get('class_weight')
        if isinstance(weights, (list, tuple)) and path.startswith('model.segmentor.'):
            yield f'{path}.class_weight', len(weights)


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _check_domains(nodes: list[Node]) -> Iterator[Problem]:
    """Methods are trained on batches of two domains, stock models on those of one."""
    parts = {node.path: node for node in nodes}
    model, loop = parts.get('model'), parts.get('train_cfg')
    if model is None or loop is None:
        return
    expected, got = (_takes_domains(node.target) for node in (model, loop))
    if expected and got is False:
        text = f'expected UDATrainLoop, as {model.name} trains on two domains, but got '
        text += f'{loop.name}; '
        yield Problem('train_cfg', f"{text}write dict(type='UDATrainLoop', max_iters=...)")
    if got and expected is False:
        text = f'expected a loop of mmengine, as {model.name} trains on one domain, but got '
        text += f"{loop.name}; write 'IterBasedTrainLoop', or a method around the model, such as "
        yield Problem('train_cfg', f"{text}model=dict(type='SourceOnly', segmentor=...)")
    loader = parts.get('train_dataloader')
    # The other way round works for tools that train nothing.
    if expected and loader is not None and loader.cfg and loader.target is DataLoader:
        text = f'expected the keys source and target, as {model.name} trains on two domains, '
        text += f'but got {", ".join(map(str, loader.cfg))}; '
        yield Problem('train_dataloader', f'{text}write dict(source=dict(...), target=...)')


def _takes_domains(target: Any) -> bool | None:
    """Tell whether a class works on batches of two domains; None if its author alone knows."""
    return getattr(target, 'takes_domains', None if not is_stock(target) else False)


def _check_constructor(content: Mapping[str, Any], nodes: list[Node]) -> Iterator[Problem]:
    """Stock constructors of optimizers look for layers by name, from ``backbone`` on."""
    model = next((node for node in nodes if node.path == 'model'), None)
    name = _get(content.get('optim_wrapper'), 'constructor')
    if model is None or name in CONSTRUCTORS or not _takes_domains(model.target):
        return
    if is_stock(find_class(name, (OPTIM_WRAPPER_CONSTRUCTORS,))):
        text = f'{name} does not find the layers of {model.name}, whose names begin with student.; '
        text += (
            "write 'JointOptimWrapperConstructor' here, and this one and its paramwise_cfg into "
        )
        yield Problem('optim_wrapper.constructor', f'{text}optimizers.student')


def _check_test_mode(nodes: list[Node]) -> Iterator[Problem]:
    """Segmentors read how they are tested in the first validation."""
    for node in nodes:
        stock = is_stock(node.target)
        if inspect.isclass(node.target) and (stock or issubclass(node.target, EncoderDecoder)):
            mode = _get(node.cfg.get('test_cfg'), 'mode')
            if stock and mode not in (None, *MODES):
                text = f'{node.name}.test_cfg.mode: expected one of {MODES}, but got {mode!r}'
                yield Problem(f'{node.path}.test_cfg.mode', text)
            for key in ('crop_size', 'stride') if mode == 'slide' else ():
                got = node.cfg['test_cfg'].get(key)
                if not got:
                    text = f'{node.name}.test_cfg: expected {key} for mode slide, but got none; '
                    yield Problem(f'{node.path}.test_cfg', text + f'write {key}=(H, W)')
                    break
                sizes = got if isinstance(got, (list, tuple)) else ()
                if len(sizes) != 2 or any(type(size) is not int or size < 1 for size in sizes):
                    text = f'{node.name}.test_cfg: expected two integers, but got {got!r}; write '
                    yield Problem(f'{node.path}.test_cfg.{key}', f'{text}(H, W)')


CHECKS = (
    check_loaders,
    _check_classes,
    _check_subsets,
    _check_test_mode,
    _check_domains,
)


def check_layers(nodes: list[Node], model: nn.Module) -> Iterator[Problem]:
    """Initialisations name classes of layers, and pass over those that the model does not have."""
    known = {*dir(nn), *dir(batchnorm), *dir(instancenorm)}
    present = {base.__name__ for module in model.modules() for base in type(module).__mro__}
    for node in nodes:
        layers = node.cfg.get('layer') if WEIGHT_INITIALIZERS in node.place.registries else None
        named = [layers] if isinstance(layers, str) else layers or ()
        for layer in (each for each in named if each not in known and each not in present):
            if similar := nearest(layer, known, cutoff=0.85):
                text = f'{node.name}: no layer is called {layer!r}; write {similar!r}'
                yield Problem(f'{node.path}.layer', text)


def check_optimizers(content: Mapping[str, Any], model: nn.Module) -> list[Problem]:
    """Optimizers take the model's parameters, each rule some of them, schedulers the optimizers."""
    cfg = content['optim_wrapper']
    try:
        wrapper = build_optimizers(content, model)
    except Exception as error:  # whatever it is, it is a finding
        return [explain(Node('optim_wrapper', cfg, ANYWHERE), error)]
    problems = []
    names = [name for name, _ in model.named_parameters()]
    for key, each in (cfg.get('optimizers') or {}).items():
        for part in (each.get('paramwise_cfg') or {}).get('custom_keys') or {}:
            if not any(part in name for name in names if name.startswith(f'{key}.')):
                path = f'optim_wrapper.optimizers.{key}.paramwise_cfg.custom_keys.{part}'
                problems.append(Problem(path, f'no parameter of {key} has such a name; remove it'))
    schedulers = content.get('param_scheduler')
    if not schedulers:
        return problems
    if not isinstance(schedulers, Mapping):
        schedulers = dict(enumerate(schedulers))
    elif 'type' not in schedulers:
        optimizers = set(wrapper.keys()) if isinstance(wrapper, OptimWrapperDict) else set()
        if set(schedulers) != optimizers:
            text = f'expected one for each of {sorted(optimizers)}, but got {sorted(schedulers)}'
            return [*problems, Problem('param_scheduler', text)]
    try:
        build_schedulers(content, wrapper)
    except Exception as error:  # whatever it is, it is a finding
        problems.append(explain(Node('param_scheduler', dict(schedulers), ANYWHERE), error))
    return problems
