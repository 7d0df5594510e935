"""References in the strings of a pipeline: ``{stage}`` is the output of an earlier stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ['add_suffix', 'find_references', 'split_reference', 'substitute']

REFERENCE = re.compile(r'\{([A-Za-z0-9][\w.-]*)\}')


def find_references(value: Any) -> Iterator[str]:
    """Find every reference in a nested value, without its braces."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from find_references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from find_references(item)


def split_reference(reference: str) -> tuple[str, str]:
    """Split ``stage0.best`` into ``('stage0', 'best')``; without a part it is ``'output'``."""
    stage, _, part = reference.partition('.')
    return stage, part or 'output'


def substitute(value: Any, resolve: Callable[[str], str]) -> Any:
    """Copy a nested value with ``resolve(reference)`` in place of each reference."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: resolve(match[1]), value)
    if isinstance(value, Mapping):
        return {key: substitute(item, resolve) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(substitute(item, resolve) for item in value)
    return value


def add_suffix(stages: Sequence[Mapping[str, Any]], suffix: str) -> list[dict[str, Any]]:
    """Copy stages, with a suffix to their names and to what refers to them."""

    def rename(reference: str) -> str:
        name, dot, part = reference.partition('.')
        return f'{{{name}{suffix}{dot}{part}}}'

    return [substitute({**stage, 'name': f'{stage["name"]}{suffix}'}, rename) for stage in stages]
