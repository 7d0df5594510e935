"""The check of a benchmark's file, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_uda.config.tables import choose
from mmseg_uda.utils.arguments import check_choice, check_integer, check_sequence, expect

__all__ = ['DEVICES', 'check_benchmark']

DEVICES = ('cpu', 'cuda')
REQUIRED = ('title', 'baseline', 'bar', 'pair_texts', 'texts', 'levels', 'cells')


def check_benchmark(content: Mapping[str, Any], path: Path) -> None:
    """Check a benchmark's file.

    Args:
        content: Its content.
        path: The file, which begins each message.

    Raises:
        ValueError: A key is missing or unknown, or a value is of another kind or names no method,
            pair or cell.
    """
    _check_keys(content, f'{path}', REQUIRED)
    for key in ('pair_texts', 'texts', 'levels', 'cells'):
        _check_mapping(content[key], f'{path}: {key}')
    methods, pairs = content['texts'], content['pair_texts']
    for key, text in (*methods.items(), *pairs.items()):
        expect(isinstance(text, str), f'{path}: texts of {key!r}', 'a title', text)
    for key in ('baseline', 'bar'):
        _check_names([content[key]], f'{path}: {key}', 'method', methods)
    for name, level in content['levels'].items():
        where = f'{path}: levels.{name}'
        _check_keys(level, where, ('methods', 'pairs', 'seeds'), closed=True)
        _check_names(level['methods'], f'{where}.methods', 'method', methods)
        _check_names(level['pairs'], f'{where}.pairs', 'pair', pairs)
        check_sequence(f'{where}.seeds', level['seeds'], check_integer, 0)
    if content.get('value'):
        _check_value(content['value'], f'{path}: value', methods)
    comparisons = content.get('comparisons', ())
    expect(isinstance(comparisons, Sequence), f'{path}: comparisons', 'a list', comparisons)
    for index, each in enumerate(comparisons):
        where = f'{path}: comparisons[{index}]'
        _check_keys(each, where, ('title', 'steps'), closed=True)
        for step in _check_list(each['steps'], f'{where}.steps'):
            _check_names(step, f'{where}.steps', 'method', methods, number=2)
    check_choice(f'{path}: device', content.get('device', 'cpu'), DEVICES)


def _check_value(value: Any, where: str, methods: Mapping[str, Any]) -> None:
    _check_keys(value, where, ('floor', 'labels', 'ceiling'), closed=True)
    _check_names(value['floor'], f'{where}.floor', 'method', methods)
    _check_mapping(value['labels'], f'{where}.labels')
    _check_names([*value['labels']], f'{where}.labels', 'method', methods)
    for method, number in value['labels'].items():
        check_integer(f'{where}.labels.{method}', number, 0)
    _check_names([value['ceiling']], f'{where}.ceiling', 'method', methods)


def _check_keys(value: Any, where: str, keys: Sequence[str], closed: bool = False) -> None:
    """Check that a dict has all of some keys and, if it is closed, no other."""
    _check_mapping(value, where)
    for key in value if closed else ():
        choose('key', key, keys, where)
    for key in keys:
        if key not in value:
            raise ValueError(f'{where}: expected `{key}`, but got none; see docs/benchmarks')


def _check_mapping(value: Any, where: str) -> None:
    expect(isinstance(value, Mapping) and bool(value), where, 'a dict with entries', value)


def _check_list(value: Any, where: str) -> Sequence[Any]:
    filled = isinstance(value, (list, tuple)) and bool(value)
    expect(filled, where, 'a list with entries', value)
    return value  # type: ignore[no-any-return]


def _check_names(
    names: Any, where: str, kind: str, known: Iterable[str], number: int | None = None
) -> None:
    """Check a list of known names."""
    _check_list(names, where)
    if number is not None:
        expect(len(names) == number, where, f'lists of {number} {kind}s', names)
    for name in names:
        expect(isinstance(name, str), where, f'names of a {kind}', name)
        choose(kind, name, known, where)
