"""Files, directories and datasets that a config names."""

from __future__ import annotations

import os.path as osp
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mmengine.config import Config

from mmseg_uda.config.datasets import iter_datasets

__all__ = ['FILES', 'KINDS', 'dataset_paths', 'find_reads', 'read_paths']

# Keys of configs whose string values are read as files or directories, wherever they are, and the
# kind of stage output that each may refer to; styles are a directory of any stage.
KINDS = {
    'load_from': 'checkpoint',
    'checkpoint': 'checkpoint',
    'pretrained': 'checkpoint',
    'prior': 'prior',
    'class_counts': 'class_counts',
    'label_file': 'image_labels',
    'pseudo_dir': 'directory',
    'prototypes': 'prototypes',
    'style_dir': 'styles',
}
FILES = ('checkpoint', 'prior', 'class_counts', 'image_labels', 'prototypes')


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
        Place in the config, and path: each directory and the list of a dataset, and what ``KINDS``
        has.
    """
    content = cfg.to_dict() if isinstance(cfg, Config) else cfg
    for place, kind, value in find_reads(content):
        if kind == 'dataset':
            yield from dataset_paths(value, place)
        elif kind not in but and '://' not in value:
            yield place, value


def dataset_paths(cfg: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """Find the local directories and the list of a dataset's config.

    Args:
        cfg: Config of a dataset, or of a wrapper.
        key: Its place in the whole config.

    Yields:
        Place and path of each.
    """
    for place, dataset in iter_datasets(cfg, key):
        root = dataset.get('data_root') or ''
        prefixes = dataset.get('data_prefix') or {}
        found = {f'data_prefix.{name}': prefix or '' for name, prefix in prefixes.items()}
        if not found:
            found['data_root'] = ''
        if dataset.get('ann_file'):
            found['ann_file'] = dataset['ann_file']
        for name, path in found.items():
            path = osp.join(root, path) if path else root
            if path and '://' not in path:
                yield f'{place}.{name}', path
