"""Parts of a method that need each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_uda.config.places import Node
from mmseg_uda.config.problems import Problem
from mmseg_uda.config.signatures import is_stock, signature_of
from mmseg_uda.config.similar import nearest

__all__ = ['check_method', 'check_statistics', 'num_classes_of', 'segmentor_of']

# Domains of the passes of this package's methods.
PASSES = ('source', 'target', 'mix')
CLASSES = 19  # of a network that does not say


def segmentor_of(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the config of the network, inside of a method's or alone."""
    return cfg['model'].get('segmentor') or cfg['model']


def num_classes_of(cfg: Mapping[str, Any]) -> int:
    """Give the number of a network's classes, which a head inside of the head may say."""
    head = segmentor_of(cfg).get('decode_head') or {}
    while isinstance(head, Mapping) and 'num_classes' not in head and 'classifier' in head:
        head = head['classifier']
    return int(head.get('num_classes', CLASSES)) if isinstance(head, Mapping) else CLASSES


def check_method(content: Mapping[str, Any], nodes: list[Node]) -> Iterator[Problem]:
    """Find a teacher without its hook, and names and numbers that fit no other part.

    Args:
        content: The config in built-in types.
        nodes: All dicts in it from which something is built.
    """
    if content.get('train_cfg'):
        yield from _check_teacher(nodes)
    yield from _check_passes(nodes)
    yield from _check_normalisation(nodes)


def _check_teacher(nodes: list[Node]) -> Iterator[Problem]:
    """A teacher is moved by a hook, and the hook needs a teacher."""
    method = next((node for node in nodes if node.path == 'model'), None)
    if method is None or method.target is None or not is_stock(method.target, ('mmseg_uda',)):
        return
    has_teacher = 'teacher' in signature_of(method.target).hints
    hooks = [node for node in nodes if node.path.startswith('custom_hooks.')]
    movers = [node for node in hooks if node.name == 'EMATeacherHook']
    if has_teacher and not movers and all(is_stock(node.target) for node in hooks):
        text = f"expected the hook of {method.name}'s teacher, but got none; write "
        yield Problem('custom_hooks', text + "[dict(type='EMATeacherHook')]")
    for node in movers if not has_teacher else ():
        text = f'expected a method with a teacher, but got {method.name}; remove this hook'
        yield Problem(f'{node.path}.type', text)


def _check_passes(nodes: list[Node]) -> Iterator[Problem]:
    """Domains are those of passes; a method may name further ones, but hardly alike."""
    for node in nodes:
        domains = node.cfg.get('domains') if node.path.startswith('model.') else None
        for name in domains if isinstance(domains, (list, tuple)) else ():
            similar = nearest(str(name), PASSES)
            if similar and name not in PASSES:
                text = f'expected the domain of a pass, but got {name!r}; write {similar!r}'
                yield Problem(f'{node.path}.domains', text)


def _check_normalisation(nodes: list[Node]) -> Iterator[Problem]:
    """Mean and deviation have a value for each channel."""
    for node in nodes:
        values = [node.cfg.get(key) for key in ('mean', 'std')]
        counts = [len(each) for each in values if isinstance(each, (list, tuple))]
        if node.name == 'SegDataPreProcessor' and len(set(counts)) == 2:
            text = f'expected as many values as std has, {counts[1]}, but got {counts[0]}'
            yield Problem(f'{node.path}.mean', text)


def check_statistics(nodes: list[Node], model: nn.Module) -> Iterator[Problem]:
    """Statistics of batch norm are adapted where there are any."""
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        return
    for node in nodes:
        if node.name == 'AdaBNHook':
            text = 'expected a network with batch norm, but model has none; remove this hook'
            yield Problem(f'{node.path}.type', text)
