"""Arguments of a constructor: their names, types and ranges."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import math
import numbers
import textwrap
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Union

from torch import nn

from mmseg_uda.config.problems import Problem

__all__ = ['advice', 'check_names', 'check_values', 'is_stock', 'signature_of']

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
STOCK = ('mmcv', 'mmengine', 'mmseg', 'mmseg_uda', 'torch')
UNIONS = (Union, getattr(types, 'UnionType', Union))


class Signature(NamedTuple):
    """Arguments with which a class or function can be called.

    Args:
        hints: Type hint of each argument, ``Any`` without one.
        defaults: Default of each argument that has one.
        required: Arguments that the outermost constructor cannot do without.
        is_open: Other names may be taken, too.
    """

    hints: dict[str, Any]
    defaults: dict[str, Any]
    required: list[str]
    is_open: bool

    def takes(self, name: str) -> bool:
        """Tell whether an argument of that name may be given."""
        return self.is_open or name in self.hints


@functools.cache
def signature_of(target: Callable[..., Any]) -> Signature:
    """Collect arguments, those included to which ``**kwargs`` hand on the rest."""
    functions: list[Any] = [target]
    if inspect.isclass(target):
        functions = [vars(base)['__init__'] for base in target.__mro__ if '__init__' in vars(base)]
    hints: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    required: list[str] = []
    for function in functions:
        if function in (object.__init__, nn.Module.__init__):
            break
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # written in C
            return Signature(hints, defaults, required, True)
        types_of = _hints(function)
        for parameter in parameters[inspect.isclass(target) :]:  # without self
            if parameter.kind not in NAMED or parameter.name in hints:
                continue
            hints[parameter.name] = types_of.get(parameter.name, Any)
            if parameter.default is not parameter.empty:
                defaults[parameter.name] = parameter.default
            elif function is functions[0]:
                required.append(parameter.name)
        rest = [each.name for each in parameters if each.kind is each.VAR_KEYWORD]
        if not rest:
            break
        taken = _taken_from(function, rest[0])
        if taken is None:
            return Signature(hints, defaults, required, True)
        hints.update(dict.fromkeys(taken - hints.keys(), Any))
    return Signature(hints, defaults, required, False)


@functools.cache
def _taken_from(function: Any, kwargs: str) -> frozenset[str] | None:
    """Names that a constructor takes from its ``**kwargs``; None if they go elsewhere, too."""
    try:
        source = inspect.getsource(function)
        tree = ast.parse(textwrap.dedent(source))
    except (OSError, TypeError, SyntaxError):
        return None
    if '__class__' in source:  # its base is chosen when it is called
        return None
    names: set[str] = set()
    known: set[ast.AST] = set()
    uses = {node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == kwargs}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, keys = node.func.value, node.args[:1]  # kwargs.pop('key')
            if node.func.attr == '__init__':
                known.update(each.value for each in node.keywords if each.arg is None)
        elif isinstance(node, ast.Subscript):
            owner, keys = node.value, [node.slice]  # kwargs['key']
        else:
            continue
        if owner in uses and keys and isinstance(keys[0], ast.Constant):
            names.add(str(keys[0].value))
            known.add(owner)
    swallowed = not uses and is_stock(function)
    return frozenset(names) if uses <= known and (uses or swallowed) else None


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist for type checkers alone, syntax of a newer Python
        return {}


def check_names(
    path: str,
    target: Callable[..., Any],
    arguments: Mapping[str, Any],
    given: Collection[str] | None = (),
) -> Iterator[Problem]:
    """Find arguments that a constructor does not take, or lacks.

    Args:
        path: Key path of the dict in the config.
        target: Class or function that is called.
        arguments: What the config gives it.
        given: What its builder adds; None if that cannot be told.
    """
    signature = signature_of(target)
    name = getattr(target, '__name__', str(target))
    old_names = getattr(target, 'renamed', {})  # with which the constructor works, and warns
    for key in arguments:
        if key in old_names:
            continue
        similar = signature.is_open and is_stock(target) and _nearest(key, signature.hints, 0.9)
        if not signature.takes(key) or (similar and key != similar):
            hint = advice(key, signature.hints)
            where = f'{path}.{key}' if path else key
            yield Problem(where, f'{name} has no argument {key!r}; {hint}')
    if given is not None:
        for key in signature.required:
            if key not in arguments and key not in given:
                yield Problem(path, f'{name} needs the argument {key!r}; write it')


def advice(word: Any, known: Iterable[str]) -> str:
    """Advise to write the known word that is nearest, or list all of a few."""
    names = sorted(known)
    similar = _nearest(str(word), names)
    if similar:
        return f'write {similar!r}'
    return f'write one of {", ".join(names)}' if 0 < len(names) <= 30 else 'remove it'


def _nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    names = {name.lower(): name for name in known}
    similar = difflib.get_close_matches(word.lower(), names, n=1, cutoff=cutoff)
    return names[similar[0]] if similar else None


def is_stock(target: Any, packages: tuple[str, ...] = STOCK) -> bool:
    """Tell classes of some packages from those of users."""
    return str(getattr(target, '__module__', '')).split('.')[0] in packages


# ------------------------------------------------------------------------------------ values


def check_values(
    path: str, target: Callable[..., Any], arguments: Mapping[str, Any]
) -> Iterator[Problem]:
    """Find arguments of a wrong type or out of range.

    Types are those of the hints; ranges, and types of arguments without a hint, go by name, but
    not for classes of users.
    """
    signature = signature_of(target)
    name = getattr(target, '__name__', str(target))
    for key, value in arguments.items():
        default = signature.defaults.get(key, ...)
        if value is default or (value == default and type(value) is type(default)):
            continue
        hint = signature.hints.get(key, Any)
        if hint is Any and isinstance(default, (int, float)) and isinstance(value, str):
            hint = type(default) if is_stock(target) else Any  # without a hint, but hardly text
        expected = _describe(hint)
        strict = is_stock(target, ('mmseg_uda',)) or key in PATHS
        fits = _fits(value, hint, SCALARS if strict else LENIENT)
        if key in RANGES and is_stock(target) and signature.takes(key):
            kind, least, most = RANGES[key]
            expected = 'an integer' if kind is int else 'a number'
            expected += f' from {least} ' + ('on' if most == math.inf else f'to {most}')
            fits = fits and _in_range(value, kind, least, most)
        choices = CHOICES.get(f'{name}.{key}')
        if choices is not None:
            expected = f'one of {choices}'
            fits = all(each in choices for each in (value if isinstance(value, list) else [value]))
        if not fits:
            where = f'{path}.{key}' if path else key
            yield Problem(where, f'{name}.{key}: expected {expected}, but got {value!r}')


def _fits(value: Any, hint: Any, scalars: Mapping[Any, Any]) -> bool:
    """Tell whether a value may be of a type; what cannot be judged may."""
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in UNIONS:
        return any(_fits(value, each, scalars) for each in inner)
    if origin is Literal:
        return value in inner
    if not inspect.isclass(origin) or not isinstance(value, PLAIN) or _is_built(value):
        return origin not in SCALARS or not isinstance(value, PLAIN)
    if value is None and scalars is LENIENT:
        return True
    if origin in SCALARS:
        if value != value:  # NaN is no number
            return False
        strict = scalars is SCALARS and origin is not bool
        return isinstance(value, scalars[origin]) and not (strict and isinstance(value, bool))
    if issubclass(origin, Mapping):
        keys, values = inner if len(inner) == 2 else (Any, Any)
        return isinstance(value, Mapping) and all(
            _fits(key, keys, scalars) and _fits(item, values, scalars)
            for key, item in value.items()
        )
    if not issubclass(origin, (list, tuple)) and origin not in ITERABLES:
        from_dict = origin.__module__.startswith(('mmengine.', 'torch.nn.', 'torch.utils.data.'))
        return not (from_dict and isinstance(value, (str, int, float)))
    if not isinstance(value, (list, tuple)):
        return False
    if origin is tuple and inner and inner[-1] is not ...:
        return len(value) == len(inner) and all(
            _fits(item, each, scalars) for item, each in zip(value, inner)
        )
    return not inner or all(_fits(item, inner[0], scalars) for item in value)


def _is_built(value: Any) -> bool:
    """Tell whether objects take a value's place, whatever its hint says."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_is_built, value))
    return isinstance(value, Mapping) and 'type' in value


SCALARS: dict[Any, Any] = {
    bool: bool,
    int: int,
    float: (int, float),
    numbers.Number: (int, float),
    str: str,
    type(None): type(None),
}
# Hints of the toolboxes' own classes are wrong now and then.
LENIENT = {**SCALARS, bool: int, int: (int, float), str: (str, int, float)}
PLAIN = (type(None), bool, int, float, str, list, tuple, Mapping)
ITERABLES = (typing.get_origin(typing.Sequence), Iterable, Collection)


def _describe(hint: Any) -> str:
    text = inspect.formatannotation(hint)
    for word in ('typing.', 'collections.abc.', 'mmengine.config.config.'):
        text = text.replace(word, '')
    return text.replace('NoneType', 'None')


def _in_range(value: Any, kind: type, least: float, most: float) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_in_range(item, kind, least, most) for item in value)
    return _fits(value, kind, SCALARS) and least <= value <= most


# By name: arguments that mean the same in all classes of the toolboxes and of this package.
RANGES: dict[str, tuple[type, float, float]] = {
    **dict.fromkeys(('max_iters', 'max_epochs', 'val_interval', 'batch_size'), (int, 1, math.inf)),
    **dict.fromkeys(('num_classes', 'base_batch_size', 'crop_size'), (int, 1, math.inf)),
    **dict.fromkeys(('num_workers', 'workers', 'val_begin', 'begin'), (int, 0, math.inf)),
    **dict.fromkeys(('interval', 'max_keep_ckpts'), (int, -1, math.inf)),  # -1 for never
    **dict.fromkeys(('lr', 'weight_decay', 'loss_weight', 'eta_min'), (float, 0, math.inf)),
    **dict.fromkeys(('prob', 'drop_path_rate', 'cat_max_ratio', 'dropout_ratio'), (float, 0, 1)),
}
# Arguments whose hints do not say what they may be, by class; of a list, each item.
IOU_METRICS = ('mIoU', 'mDice', 'mFscore')
CHOICES: dict[str, tuple[Any, ...]] = {
    'Runner.log_level': ('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG', 'NOTSET'),
    'CheckpointHook.rule': (None, 'greater', 'less'),
    'IoUMetric.iou_metrics': IOU_METRICS,
    'SubsetIoUMetric.iou_metrics': IOU_METRICS,
    'set_multi_processing.mp_start_method': ('fork', 'spawn', 'forkserver'),
}
PATHS = ('work_dir', 'load_from')  # no number can stand for text there
