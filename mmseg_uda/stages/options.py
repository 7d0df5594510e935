"""Settings that a pipeline changes in a config must have a place there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config

from mmseg_uda.utils.clear_errors import accepted_keys, find_class
from mmseg_uda.utils.configs import RUNNER_NAMES

__all__ = ['check_options']

# What toolboxes take out of a config before its class sees it.
TAKEN_OUT = frozenset({'type', 'priority', 'init_cfg', '_scope_', '_delete_'})


def check_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Check that dotted keys name settings of a config; its merge would invent what is missing.

    All but the last part of a key must be in the config. The last one may be new if the class that
    is built there takes it.

    Raises:
        ValueError: Names the key, the part that is nowhere, and the nearest one that is.
    """
    content = cfg.to_dict()
    for key in options:
        if not isinstance(key, str):
            raise ValueError(f'options has the key {key!r}; write a dotted path of the config')
        node: Any = content
        *parents, leaf = key.split('.')
        for depth, part in enumerate(parents):
            node = _enter(node, part, key, '.'.join(parents[:depth]))
        if isinstance(node, Mapping):
            _check_leaf(node, leaf, key, bool(parents))
        else:
            _enter(node, leaf, key, '.'.join(parents))


def _enter(node: Any, part: str, key: str, path: str) -> Any:
    place = f'`{path}`' if path else 'the config'
    if isinstance(node, Mapping):
        if part in node:
            return node[part]
        raise ValueError(f'options.{key}: {place} has no key `{part}`{_advice(part, node)}')
    if isinstance(node, (list, tuple)):
        if part.isdigit() and int(part) < len(node):
            return node[int(part)]
        raise ValueError(
            f'options.{key}: {place} has no item `{part}`; write a number below {len(node)}'
        )
    raise ValueError(f'options.{key}: {place} is {node!r}, which has no parts; shorten the path')


def _check_leaf(node: Mapping[str, Any], leaf: str, key: str, nested: bool) -> None:
    """A new key must be one that its reader knows, as far as that can be told."""
    if leaf in node or leaf in TAKEN_OUT:
        return
    cls = find_class(node.get('type'))
    if cls is not None:
        keys = accepted_keys(cls)
        if leaf not in keys:
            raise ValueError(
                f'options.{key}: {cls.__name__} has no key `{leaf}`{_advice(leaf, keys)}'
            )
    elif not nested and leaf not in RUNNER_NAMES:
        raise ValueError(f'options.{key}: nothing reads `{leaf}`{_advice(leaf, RUNNER_NAMES)}')
    elif nested and difflib.get_close_matches(leaf, node, n=1, cutoff=0.8):
        raise ValueError(f'options.{key}: there is no `{leaf}`{_advice(leaf, node)}')


def _advice(word: str, known: Iterable[str]) -> str:
    names = sorted(map(str, known))
    similar = difflib.get_close_matches(word, names, n=1)
    return f'; write `{similar[0]}`' if similar else f'; it has {", ".join(names)}'
