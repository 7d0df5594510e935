"""Arguments of a constructor: which there are, and which a config lacks or gives too many."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from mmseg_uda.config.problems import Problem
from mmseg_uda.config.similar import nearest

__all__ = ['advice', 'check_names', 'is_stock', 'signature_of']

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
STOCK = ('mmcv', 'mmengine', 'mmseg', 'mmseg_uda', 'torch')


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
        similar = (
            signature.is_open
            and is_stock(target)
            and nearest(key, signature.hints, 0.9, any_case=True)
        )
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
    similar = nearest(str(word), names, any_case=True)
    if similar:
        return f'write {similar!r}'
    return f'write one of {", ".join(names)}' if 0 < len(names) <= 30 else 'remove it'


def is_stock(target: Any, packages: tuple[str, ...] = STOCK) -> bool:
    """Tell classes of some packages from those of users."""
    return str(getattr(target, '__module__', '')).split('.')[0] in packages
