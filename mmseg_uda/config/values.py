"""Values of arguments: their types, ranges and choices."""

from __future__ import annotations

import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Union

from mmseg_uda.config.problems import Problem
from mmseg_uda.config.signatures import is_stock, signature_of

__all__ = ['check_values']

UNIONS = (Union, getattr(types, 'UnionType', Union))


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
        if hint is Any and is_stock(target) and _is_other(value, default):
            hint = type(default)
        expected = _describe(hint)
        fits = _fits(value, hint, _rules_of(target, key))
        if key in RANGES and is_stock(target) and signature.takes(key):
            kind, least, most = RANGES[key]
            expected = 'an integer' if kind is int else 'a number'
            expected += f' from {least} ' + ('on' if most == math.inf else f'to {most}')
            many = isinstance(value, (list, tuple)) and key in SEVERAL
            fits = fits and all(
                _in_range(each, kind, least, most) for each in (value if many else [value])
            )
        choices = CHOICES.get(
            f'{name}.{key}', CHOICES.get(key) if is_stock(target, ('mmcv', 'mmseg')) else None
        )
        if choices is not None:
            expected = f'one of {choices}'
            fits = all(
                each in choices for each in (value if isinstance(value, (list, tuple)) else [value])
            )
        if not fits:
            where = f'{path}.{key}' if path else key
            yield Problem(where, f'{name}.{key}: expected {expected}, but got {value!r}')


def _is_other(value: Any, default: Any) -> bool:
    """Tell what hardly takes a default's place, if there is no hint."""
    kinds = (str, Mapping) if isinstance(default, (int, float)) else Mapping
    return isinstance(default, (int, float, str)) and isinstance(value, kinds)


class Rules(NamedTuple):
    """Rules by which values are compared with type hints.

    Args:
        scalars: Types of the values that a hint's type takes.
        is_lenient: None fits every hint, and a list of dicts with ``type`` that of one of them.
    """

    scalars: Mapping[Any, Any]
    is_lenient: bool


def _rules_of(target: Callable[..., Any], key: str) -> Rules:
    return OURS if is_stock(target, ('mmseg_uda',)) or key in PATHS else LENIENT


def _fits(value: Any, hint: Any, rules: Rules) -> bool:
    """Tell whether a value may be of a type; what cannot be judged may."""
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in UNIONS:
        return any(_fits(value, each, rules) for each in inner)
    if origin is Literal:
        return value in inner
    if not inspect.isclass(origin) or not isinstance(value, PLAIN):
        return True
    if _is_built(value) or (rules.is_lenient and _are_built(value)):
        return not _holds_scalars(origin, inner)
    if value is None and rules.is_lenient:
        return True
    if origin in SCALARS:
        if value != value:  # NaN is no number
            return False
        strict = rules is OURS and origin is not bool
        return isinstance(value, rules.scalars[origin]) and not (strict and isinstance(value, bool))
    if issubclass(origin, Mapping):
        keys, values = inner if len(inner) == 2 else (Any, Any)
        return isinstance(value, Mapping) and all(
            _fits(key, keys, rules) and _fits(item, values, rules) for key, item in value.items()
        )
    if not issubclass(origin, (list, tuple)) and origin not in ITERABLES:
        from_dict = origin.__module__.startswith(('mmengine.', 'torch.nn.', 'torch.utils.data.'))
        return not (from_dict and isinstance(value, (str, int, float, list, tuple)))
    if not isinstance(value, (list, tuple)):
        return False
    if origin is tuple and inner and inner[-1] is not ...:
        return len(value) == len(inner) and all(
            _fits(item, each, rules) for item, each in zip(value, inner)
        )
    return not inner or all(_fits(item, inner[0], rules) for item in value)


def _is_built(value: Any) -> bool:
    """Tell whether an object takes a value's place, whatever its hint says."""
    return isinstance(value, Mapping) and 'type' in value


def _are_built(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(map(_is_built, value))


def _holds_scalars(origin: Any, inner: tuple[Any, ...]) -> bool:
    return origin in SCALARS or (
        bool(inner) and not issubclass(origin, Mapping) and all(each in SCALARS for each in inner)
    )


SCALARS: dict[Any, Any] = {
    bool: bool,
    int: int,
    float: (int, float),
    numbers.Number: (int, float),
    str: str,
    type(None): type(None),
}
OURS = Rules(SCALARS, is_lenient=False)
# Hints of the toolboxes' own classes are wrong now and then.
_LOOSE = {**SCALARS, bool: int, int: (int, float), str: (str, int, float)}
LENIENT = Rules(_LOOSE, is_lenient=True)
PLAIN = (type(None), bool, int, float, str, list, tuple, Mapping)
ITERABLES = (typing.get_origin(typing.Sequence), Iterable, Collection)


def _describe(hint: Any) -> str:
    text = inspect.formatannotation(hint)
    for word in ('typing.', 'collections.abc.', 'mmengine.config.config.'):
        text = text.replace(word, '')
    return text.replace('NoneType', 'None')


def _in_range(value: Any, kind: type, least: float, most: float) -> bool:
    return _fits(value, kind, OURS) and least <= value <= most


# By name: arguments that mean the same in all classes of the toolboxes and of this package.
RANGES: dict[str, tuple[type, float, float]] = {
    **dict.fromkeys(('max_iters', 'max_epochs', 'val_interval', 'batch_size'), (int, 1, math.inf)),
    **dict.fromkeys(
        ('num_classes', 'base_batch_size', 'crop_size', 'size_divisor'), (int, 1, math.inf)
    ),
    **dict.fromkeys(('num_workers', 'workers', 'val_begin', 'begin'), (int, 0, math.inf)),
    'seed': (int, 0, 2**32 - 1),  # as NumPy takes it
    **dict.fromkeys(('interval', 'max_keep_ckpts'), (int, -1, math.inf)),  # -1 for never
    **dict.fromkeys(('lr', 'weight_decay', 'loss_weight', 'eta_min'), (float, 0, math.inf)),
    **dict.fromkeys(('lr_mult', 'decay_mult', 'power'), (float, 0, math.inf)),
    **dict.fromkeys(('prob', 'drop_path_rate', 'cat_max_ratio'), (float, 0, 1)),
    'dropout_ratio': (float, -1, 1),  # -1 for none, as in mmseg's OCRNet
}
SEVERAL = ('crop_size', 'prob', 'dropout_ratio', 'loss_weight', 'num_classes')  # or one of these
# Arguments whose hints do not say what they may be, by name, or by class and name; of a list, each
# item.
IOU_METRICS = ('mIoU', 'mDice', 'mFscore')
CHOICES: dict[str, tuple[Any, ...]] = {
    'interpolation': ('nearest', 'bilinear', 'bicubic', 'area', 'lanczos', 'box', 'hamming'),
    'imdecode_backend': (None, 'cv2', 'turbojpeg', 'pillow', 'tifffile'),
    'Resize.backend': ('cv2', 'pillow'),
    'Runner.log_level': ('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG', 'NOTSET'),
    'CheckpointHook.rule': (None, 'greater', 'less'),
    'IoUMetric.iou_metrics': IOU_METRICS,
    'SubsetIoUMetric.iou_metrics': IOU_METRICS,
    'set_multi_processing.mp_start_method': ('fork', 'spawn', 'forkserver'),
}
PATHS = ('work_dir', 'load_from')  # no number can stand for text there
