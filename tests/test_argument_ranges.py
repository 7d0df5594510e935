"""Constructors refuse numbers of a wrong type, NaN, and numbers out of range, in one line.

Arguments are found by type hints, so that a new class needs nothing here.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import mmseg_uda  # noqa: F401
from mmseg_uda.config.places import ALL
from mmseg_uda.pseudo_labels.rules import RULES
from mmseg_uda.pseudo_labels.statistics import ConfidencePools
from mmseg_uda.stages.image_labels.prediction import ImageLabelRecipe

# Out of range where it is not far below zero; None for arguments that may be any number.
OUT_OF_RANGE: dict[str, float | None] = {
    **dict.fromkeys(
        ('ignore_index', 'in_index', 'frozen_index', 'index', 'spatial_weight', 'channel_weight')
    ),
    'out_indices': None,  # counted from the last one if below 0
    'gamma': 1e9,
}
WRONG: dict[type, tuple[Any, ...]] = {
    int: ('x', math.nan, 1.5, True),
    float: ('x', math.nan, math.inf, True),
}


def classes() -> dict[str, type]:
    registered = {each for registry in ALL for each in registry.module_dict.values()}
    found = {*registered, *RULES.values(), ConfidencePools, ImageLabelRecipe}
    ours = [each for each in found if each.__module__.startswith('mmseg_uda.')]
    return {each.__name__: each for each in ours if inspect.isclass(each)}


def parameters(cls: type) -> dict[str, tuple[Any, Any]]:
    """Type hint and default of each argument of the class itself."""
    result: dict[str, tuple[Any, Any]] = {}
    for base in cls.__mro__:
        function = vars(base).get('__init__')
        if function is None or not base.__module__.startswith('mmseg_uda.'):
            continue
        function = inspect.unwrap(function)
        signature, hints = inspect.signature(function), typing.get_type_hints(function)
        for key, each in signature.parameters.items():
            if key in hints and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
                result.setdefault(key, (hints[key], each.default))
        if not any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values()):
            break
    return result


def numbers_in(hint: Any) -> tuple[type, bool] | None:
    """Kind of number that an argument takes, and whether in a sequence."""
    if hint in WRONG:
        return hint, False
    inner = typing.get_args(hint)
    if typing.get_origin(hint) in (Sequence, list, tuple):
        return next(((each, True) for each in inner if each in WRONG), None)
    found = [numbers_in(each) for each in inner] if hint and inner else []
    mapping = getattr(typing.get_origin(hint), '__name__', '') in ('Mapping', 'dict')
    return None if mapping else next((each for each in found if each), None)


def bad_values(key: str, hint: Any, default: Any) -> Iterator[Any]:
    kind, several = numbers_in(hint) or (None, False)
    if kind is None:
        return
    out = OUT_OF_RANGE.get(key, -1e9)
    for value in (*WRONG[kind], *([] if out is None else [kind(out)])):
        if several and isinstance(default, tuple):
            yield (*default[:-1], value)
        else:
            yield value


def placeholder(hint: Any) -> Any:
    """A value for an argument that a constructor needs; its checks come before it builds parts."""
    return {int: 4, float: 0.5, str: 'x', Sequence[int]: (4, 4)}.get(hint)


@pytest.mark.parametrize('name', sorted(classes()))
def test_wrong_numbers_are_refused(name: str) -> None:
    cls: Callable[..., Any] = classes()[name]
    arguments = parameters(classes()[name])
    needed = {
        key: placeholder(hint)
        for key, (hint, default) in arguments.items()
        if default is inspect.Parameter.empty
    }
    for key, (hint, default) in arguments.items():
        for value in bad_values(key, hint, default):
            try:
                cls(**{**needed, key: value})
            except (TypeError, ValueError) as error:
                message = str(error)
            else:
                message = 'nothing was raised'
            assert f'.{key}: expected ' in message, f'{name}({key}={value!r}): {message}'
            assert ', but got ' in message, message
            assert '\n' not in message, message


def test_arguments_are_found() -> None:
    found = {
        f'{name}.{key}'
        for name, cls in classes().items()
        for key, (hint, _) in parameters(cls).items()
        if numbers_in(hint)
    }
    assert {'EMATeacher.alpha', 'CowMix.sigma', 'MeanTeacher.pseudo_threshold'} <= found
    assert {'AdaBNHook.num_images', 'BDLRule.share', 'FCDiscriminator.channels'} <= found
    assert len(found) > 70
