"""Checks of the directories and lists that a dataset's config names, before anything is built."""

from __future__ import annotations

import inspect
import os.path as osp
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmseg.registry import DATASETS

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.config.datasets import iter_datasets
from mmseg_uda.utils.arguments import expect

__all__ = ['LABEL_HINT', 'check_folders', 'find_missing', 'is_local']

ROOT_HINT = 'set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read'
LABEL_HINT = 'tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes'


def check_folders(cfg: Mapping[str, Any], key: str = 'dataset') -> None:
    """Check that the directories and the list file of a dataset's config exist and are not empty.

    Wrapped datasets are checked too; data outside of the local file system is not. Call it before
    the dataset is built, because the errors of stock classes do not name the directory.

    Args:
        cfg: Config of a dataset.
        key: Its place in the config.

    Raises:
        ValueError: If a directory or the list file is missing, or has no image.
    """
    for _, text in find_missing(cfg, key):
        raise ValueError(text)


def find_missing(cfg: Mapping[str, Any], key: str = 'dataset') -> Iterator[tuple[str, str]]:
    """Find everything that :func:`check_folders` refuses.

    Args:
        cfg: As for :func:`check_folders`.
        key: The same.

    Yields:
        Path of the directory or list, and the error.
    """
    for place, dataset in iter_datasets(cfg, key):
        if is_local(dataset.get('backend_args')):
            yield from _find_missing(dataset, place)


def _find_missing(cfg: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    root, name = cfg.get('data_root') or '', cfg.get('type', 'dataset')
    prefixes = cfg.get('data_prefix') or {}
    complete = True
    for prefix_key, prefix in prefixes.items():
        if prefix is None:  # the dataset has no such files
            continue
        path = osp.join(root, prefix)
        if path and not osp.isdir(path):  # a stock dataset would name no directory
            complete = False
            hint = f'; {LABEL_HINT}' if prefix_key == 'seg_map_path' else ''
            yield (
                path,
                f'{name}: expected a directory in {key}.data_prefix.{prefix_key}, but got '
                f'{path!r}; {ROOT_HINT}, or correct `data_prefix`{hint}',
            )
    try:
        path = osp.join(root, cfg.get('ann_file') or prefixes.get('img_path') or '')
        if cfg.get('ann_file'):
            _check_list(path, name, key)
        elif 'img_path' in prefixes and complete:
            _check_any_image(path, cfg, name, key)
    except ValueError as error:
        yield path, str(error)


def _check_list(path: str, name: str, key: str) -> None:
    size = osp.getsize(path) if osp.isfile(path) else None
    if not size:
        got = f'{path!r}, which ' + ('does not exist' if size is None else 'is empty')
        raise ValueError(
            f'{name}: expected a list of samples in {key}.ann_file, but got {got}; {ROOT_HINT}, '
            "run the dataset's converter in tools/dataset_converters, which writes this list, or "
            "write ann_file='' to use all images"
        )
    try:
        text = Path(path).read_text('utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f'{key}.ann_file: expected a text file, but got {path!r}') from None
    for number, line in enumerate(text.splitlines(), 1):
        got = f'{path}, line {number}, without one'
        expect(bool(line.strip()), f'{key}.ann_file', 'a name in each line', got)


def _check_any_image(directory: str, cfg: Mapping[str, Any], name: str, key: str) -> None:
    suffix = cfg.get('img_suffix')
    cls = DATASETS.get(name) if isinstance(name, str) else name
    if suffix is None and cls is not None:  # the class has a default
        parameter = inspect.signature(cls).parameters.get('img_suffix')
        suffix = parameter.default if parameter else ''
    suffix = tuple(suffix) if isinstance(suffix, list) else suffix  # several, as from JSON
    if any(file.endswith(suffix or '') for file in list_files(directory)):  # one is enough
        return
    raise ValueError(
        f'{name}: expected files that end in {suffix!r} in {key}.data_prefix.img_path, but got '
        f'{directory!r} without any; correct `data_prefix.img_path` or `img_suffix`'
    )


def is_local(backend_args: Mapping[str, Any] | None) -> bool:
    """Tell whether a dataset lies in the local file system."""
    return not backend_args or backend_args.get('backend', 'local') == 'local'
