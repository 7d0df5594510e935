"""Parts of a config, built without memory for parameters and without a trace."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from torch import nn
from torch.overrides import TorchFunctionMode

from mmseg_uda.config.places import ALL, Node, find_class, known_names
from mmseg_uda.config.problems import Problem
from mmseg_uda.config.signatures import advice, signature_of

__all__ = [
    'build_model',
    'build_optimizers',
    'build_part',
    'build_schedulers',
    'cannot_be_judged',
    'explain',
    'no_trace',
]

WRAPPED = re.compile(r'^(class `\w+` in [^ ]+: )+')
UNKNOWN = re.compile(r"(\w+)?(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")
MISSING = re.compile(r'(\w+)\.__init__\(\) missing \d+ required \w+ (arguments?: .+)')
UNREGISTERED = re.compile(r'^(\S+) is not in the .+? registry')
NAMED = re.compile(r'[A-Z]\w+(?:\.\w+)+')
FILLS = {
    nn.init.constant_,
    nn.init.kaiming_uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    torch.Tensor.fill_,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.Tensor.zero_,
}
"""Functions that set a tensor's values, and return it."""


class _Meta(TorchFunctionMode):
    """Parameters without memory and values; what a constructor computes with stays real."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get('dtype', torch.float32) in (None, torch.float32):
            kwargs['device'] = 'meta'
        elif func in FILLS:
            tensor = args[0] if args else kwargs['tensor']
            if tensor.is_meta:
                return tensor  # torch would derive the shape, slowly
        return func(*args, **kwargs)


@contextlib.contextmanager
def no_trace(scope: str = 'mmseg') -> Iterator[None]:
    """Leave random generators, default scope, loggers and the terminal as they are.

    Args:
        scope: Default scope inside.
    """
    managers = (DefaultScope, MMLogger, MessageHub)
    instances = [manager._instance_dict.copy() for manager in managers]
    generators = random.getstate(), np.random.get_state()
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        warnings.simplefilter('ignore')
        try:
            logger = MMLogger.get_instance('config', logger_name='config')
            logger.setLevel('CRITICAL')  # its argument would still make every record
            DefaultScope.get_instance('config', scope_name=scope)
            yield
        finally:
            random.setstate(generators[0])
            np.random.set_state(generators[1])
            for manager, kept in zip(managers, instances):
                manager._instance_dict = kept


def cannot_be_judged(error: Exception) -> bool:
    """Tell what fails here alone: files are missing, or a number is read from a parameter."""
    on_meta = isinstance(error, RuntimeError) and 'meta' in str(error).lower()
    return on_meta or isinstance(error, OSError)


def build_model(cfg: Mapping[str, Any]) -> nn.Module:
    """Build the model of a config on the meta device."""
    with no_trace():
        with _Meta():
            model = MODELS.build(copy.deepcopy(ConfigDict(cfg['model'])))
        return model.to('meta')


def build_part(node: Node) -> Any:
    """Build one part of a config on the meta device."""
    assert node.target is not None
    with _Meta():
        return node.target(**copy.deepcopy(ConfigDict(node.arguments)))


def build_optimizers(
    cfg: Mapping[str, Any], model: nn.Module | None = None
) -> OptimWrapperDict | OptimWrapper:
    """Build the optimizers of a config over the parameters of its model, without a loss scaler."""
    wrapper = copy.deepcopy(dict(cfg['optim_wrapper']))
    if wrapper.get('type') == 'AmpOptimWrapper':  # needs a GPU
        wrapper['type'] = 'OptimWrapper'
        for key in ('dtype', 'loss_scale', 'use_fsdp'):
            wrapper.pop(key, None)
    if wrapper.get('dtype') == 'float16':
        wrapper['dtype'] = None
    with no_trace():
        return build_optim_wrapper(build_model(cfg) if model is None else model, wrapper)


class _SchedulerBuilder(Runner):
    """As much of a runner as building schedulers needs."""

    train_dataloader = (None,)

    def __init__(self, optim_wrapper: OptimWrapperDict | OptimWrapper) -> None:
        self.optim_wrapper = optim_wrapper
        self._train_loop: Any = {}


def build_schedulers(cfg: Mapping[str, Any], wrapper: OptimWrapperDict | OptimWrapper) -> None:
    """Build the schedulers of a config over :func:`build_optimizers`'s."""
    _SchedulerBuilder(wrapper).build_param_scheduler(cfg['param_scheduler'])


def explain(node: Node, error: Exception) -> Problem:
    """Say in the words of the config what a constructor has against it.

    Args:
        node: What was built.
        error: What its constructor raised, or one of a part of it.
    """
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = ' '.join(WRAPPED.sub('', text).split())
    unknown, missing, unregistered = (
        pattern.search(text) for pattern in (UNKNOWN, MISSING, UNREGISTERED)
    )
    if unknown:
        owner, key = unknown.groups()
        target = find_class(owner, ALL) or node.target
        hint = advice(key, signature_of(target).hints) if target else 'remove it'
        path = _locate(node, lambda path, _: path[-1] == key)
        return Problem(path, f'{owner or node.name} has no argument {key!r}; {hint}')
    if missing:
        owner, keys = missing.groups()
        path = _locate(node, lambda path, value: path[-1] == 'type' and value == owner)
        return Problem(path.removesuffix('.type'), f'{owner} needs {keys}; write it')
    if unregistered:
        name = unregistered[1]
        path = _locate(node, lambda _, value: value == name)
        return Problem(path, f'no class is called {name!r}; {advice(name, known_names(ALL))}')
    named = [tuple(word.split('.')[1:]) for word in NAMED.findall(text)]  # such as PIT.segmentor.x
    path = _locate(node, lambda path, _: any(path[-len(keys) :] == keys for keys in named))
    return Problem(path, text if named else f'{node.name}: [{type(error).__name__}] {text}')


def _locate(node: Node, test: Callable[[tuple[str, ...], Any], bool]) -> str:
    """Key path of the outermost value in a node that passes; the node's own if none does."""
    level: list[tuple[tuple[str, ...], Any]] = [((), node.cfg)]
    while level:
        level = [
            ((*path, str(key)), child)
            for path, value in level
            if isinstance(value, (Mapping, list, tuple))
            for key, child in (value.items() if isinstance(value, Mapping) else enumerate(value))
        ]
        for path, value in level:
            if test(path, value):
                return '.'.join((node.path, *path))
    return node.path
