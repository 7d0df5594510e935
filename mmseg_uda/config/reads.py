"""Files, directories and datasets that a config names."""

from __future__ import annotations

import os.path as osp
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.datasets import iter_datasets

__all__ = ['KINDS', 'find_reads', 'read_paths']

# Keys of configs whose string values are read as files or directories, wherever they are, and the
# kind of stage output that each may refer to.
KINDS = {
    'load_from': 'checkpoint',
    'checkpoint': 'checkpoint',
    'pretrained': 'checkpoint',
    'prior': 'prior',
    'label_file': 'image_labels',
    'pseudo_dir': 'directory',
}


def find_reads(node: Any, keys: Mapping[str, str] = KINDS) -> Iterator[tuple[str, str, Any]]:
    """Find the datasets, files and directories that a config, or a part of it, names.

    Args:
        node: The config.
        keys: Keys of files and directories.

    Yields:
        Place, kind and value of each: a dataset's config, or a path. Of wrapped datasets only the
        wrapper is given.
    """
    yield from _walk(node, '', keys)


def _walk(node: Any, path: str, keys: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    items = node.items() if isinstance(node, Mapping) else enumerate(node)
    for key, value in items:
        place = f'{path}.{key}' if path else str(key)
        if key == 'dataset' and isinstance(value, Mapping):
            yield place, 'dataset', value
        elif isinstance(value, str) and value and key in keys:
            yield place, keys[str(key)], value
        if isinstance(value, (Mapping, list, tuple)):
            for found in _walk(value, place, keys):
                if key != 'dataset' or found[1] != 'dataset':
                    yield found


def read_paths(
    cfg: Config | Mapping[str, Any], but: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Find the local directories and files that a config reads.

    Args:
        cfg: The config, or a part of it.
        but: Kinds to leave out, of those in ``KINDS``: a tool may write what training will read.

    Yields:
        Place in the config, and path: each directory and the list of a dataset, directories of
        styles, and what ``KINDS`` has.
    """
    content = cfg.to_dict() if isinstance(cfg, Config) else cfg
    for place, kind, value in find_reads(content, {**KINDS, 'style_dir': 'styles'}):
        if kind == 'dataset':
            found = [pair for at in iter_datasets(value, place) for pair in _paths_of(*at)]
        else:
            found = [(place, value)]
        if kind not in but:
            yield from ((key, path) for key, path in found if '://' not in path)


def _paths_of(key: str, dataset: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find the directories and the list of a dataset that wraps no other."""
    root = dataset.get('data_root') or ''
    prefixes = dataset.get('data_prefix')
    if root and not prefixes:
        yield f'{key}.data_root', root
    for name, prefix in (prefixes or {}).items():
        if root or prefix:
            yield f'{key}.data_prefix.{name}', osp.join(root, prefix or '')
    if dataset.get('ann_file'):
        yield f'{key}.ann_file', osp.join(root, dataset['ann_file'])
