"""``{stage}`` in the strings of a pipeline: the output of an earlier stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ['find_references', 'split_reference', 'substitute']

REFERENCE = re.compile(r'\{([A-Za-z0-9][\w.-]*)\}')


def find_references(value: Any) -> Iterator[str]:
    """Every reference in a nested value, without its braces."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from find_references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from find_references(item)


def split_reference(reference: str) -> tuple[str, str]:
    """Stage and part: ``('stage0', 'best')`` for ``stage0.best``, else the part ``'output'``."""
    stage, _, part = reference.partition('.')
    return stage, part or 'output'


def substitute(value: Any, lookup: Callable[[str], str]) -> Any:
    """A copy of a nested value in which each reference is what ``lookup`` has for it."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: lookup(match[1]), value)
    if isinstance(value, Mapping):
        return {key: substitute(item, lookup) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(substitute(item, lookup) for item in value)
    return value
