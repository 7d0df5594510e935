"""Checks that refuse a wrong dataset by one clear error before training starts.

``check_folders`` reads a config before anything is built; the others read built datasets. ``key``
is the place in the config that the error names.
"""

from __future__ import annotations

import inspect
import os.path as osp
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.config.datasets import LABEL_LOADERS, iter_datasets
from mmseg_uda.datasets.label_files import check_label_files
from mmseg_uda.datasets.transforms.image_labels import LoadImageLabels
from mmseg_uda.datasets.transforms.loading import LoadPseudoLabels
from mmseg_uda.utils.arguments import expect

__all__ = [
    'build_dataset',
    'check_dataset',
    'check_folders',
    'check_image_labels',
    'check_pseudo_labels',
    'check_same_classes',
    'check_unlabelled',
    'pseudo_label_loaders',
    'skip_hidden_files',
    'unwrap',
    'wrapped',
]

HIDDEN = re.compile(r'(^|[/\\])\.[^./\\]')
ROOT_HINT = 'set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read'
LABEL_HINT = 'tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes'
FILE_HINTS = {
    'img_path': 'correct `data_prefix.img_path` or `ann_file`',
    'seg_map_path': f'{LABEL_HINT}; an `ann_file` leaves out samples without a label',
}


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
    for place, dataset in iter_datasets(cfg, key):
        _check_folders(dataset, place)


def _check_folders(cfg: Mapping[str, Any], key: str) -> None:
    if not _is_local(cfg.get('backend_args')):
        return
    root, name = cfg.get('data_root') or '', cfg.get('type', 'dataset')
    prefixes = cfg.get('data_prefix') or {}
    for prefix_key, prefix in prefixes.items():
        path = osp.join(root, prefix)
        if path and not osp.isdir(path):  # a stock dataset would name no directory
            hint = f'; {LABEL_HINT}' if prefix_key == 'seg_map_path' else ''
            raise ValueError(
                f'{name}: expected a directory in {key}.data_prefix.{prefix_key}, but got '
                f'{path!r}; {ROOT_HINT}, or correct `data_prefix`{hint}'
            )
    if cfg.get('ann_file'):
        _check_list(osp.join(root, cfg['ann_file']), name, key)
    elif 'img_path' in prefixes:
        _check_any_image(osp.join(root, prefixes['img_path']), cfg, name, key)


def build_dataset(cfg: Mapping[str, Any], key: str = 'dataset') -> Any:
    """Build a dataset whose directories were checked; see :func:`check_folders`."""
    check_folders(cfg, key)
    return DATASETS.build(cfg)


def check_dataset(dataset: Any, key: str = 'dataset') -> tuple[str, ...]:
    """Check that a built dataset is not empty and that the listed files exist.

    Args:
        dataset: A dataset, wrapped or not.
        key: Its place in the config.

    Returns:
        Names of its classes.

    Raises:
        ValueError: If it is empty, lists a missing image or label, or does not name its classes.
    """
    for inner in unwrap(dataset):
        if len(inner) == 0:
            raise ValueError(
                f'{_name(inner)}: expected samples in {key}, but got none; correct `data_prefix`, '
                '`ann_file` or `indices`'
            )
        # Other classes need not list files.
        if isinstance(inner, BaseDataset) and _is_local(getattr(inner, 'backend_args', None)):
            _check_files(inner, key)
            check_label_files(inner, key)
    classes = dataset.metainfo.get('classes')
    if not classes:
        raise ValueError(
            f'{_name(dataset)}: expected class names in {key}, but got none; write '
            'metainfo=dict(classes=...)'
        )
    return tuple(classes)


def skip_hidden_files(dataset: Any) -> None:
    """Leave out samples below hidden directories, such as ``.ipynb_checkpoints``, in place.

    mmseg skips hidden files, but not the files of hidden directories.
    """
    for inner in unwrap(dataset):
        if not isinstance(inner, BaseDataset):
            continue
        root = str((getattr(inner, 'data_prefix', None) or {}).get('img_path') or '')
        names = [
            osp.relpath(inner.get_data_info(index).get('img_path') or root, root or None)
            for index in range(len(inner))
        ]
        kept = [i for i, name in enumerate(names) if not HIDDEN.search(name)]
        if len(kept) < len(inner):
            inner.get_subset_(kept)


def check_unlabelled(dataset: Any, key: str = 'train_dataloader.target.dataset') -> None:
    """Check that the pipeline of a target training set does not load ground truth.

    Raises:
        ValueError: If it does.
    """
    for transform, inner in _transforms(dataset, LABEL_LOADERS):
        raise ValueError(
            f'{_name(inner)}: expected no ground truth in {key}.pipeline, because adaptation never '
            f'reads target labels, but got {type(transform).__name__}; delete it '
            '(LoadPseudoLabels is for pseudo labels)'
        )


def pseudo_label_loaders(dataset: Any) -> Iterator[tuple[LoadPseudoLabels, Any]]:
    """Find the transforms that load pseudo labels, each with the dataset of its pipeline."""
    yield from _transforms(dataset, LoadPseudoLabels)


def check_pseudo_labels(dataset: Any, made_in_training: bool = False) -> None:
    """Check that the images of a training set have the pseudo labels that its pipeline loads.

    Args:
        dataset: A dataset, wrapped or not.
        made_in_training: Accept ``pseudo_dir=None``, because a hook will name the directory.

    Raises:
        FileNotFoundError: If the directory has no manifest, or an image no label.
        ValueError: If no directory is named, or its manifest does not fit.
    """
    for transform, inner in pseudo_label_loaders(dataset):
        if transform.pseudo_dir is None and made_in_training:
            continue
        for index in range(len(inner)):
            transform.path_of(inner.get_data_info(index)['img_path'])


def check_image_labels(dataset: Any) -> None:
    """Check that the images of a training set have the image-level labels of its pipeline.

    Args:
        dataset: A dataset, wrapped or not.

    Raises:
        FileNotFoundError: If the file of image-level labels is missing, or lacks an image.
        ValueError: If it does not fit, or has another number of classes than the dataset.
    """
    for transform, inner in _transforms(dataset, LoadImageLabels):
        classes = inner.metainfo.get('classes') or ()
        if len(classes) != transform.num_classes:
            raise ValueError(
                f'LoadImageLabels.num_classes: expected {len(classes)}, as {_name(inner)} has, but '
                f'got {transform.num_classes}; write num_classes={len(classes)}'
            )
        for index in range(len(inner)):
            transform.label_of(inner.get_data_info(index)['img_path'])


def check_same_classes(source: Any, target: Any) -> None:
    """Check that source and target have the same classes in the same order.

    Raises:
        ValueError: If they differ.
    """
    ours, theirs = (tuple(dataset.metainfo.get('classes') or ()) for dataset in (source, target))
    if ours == theirs:
        return
    pair = f'{len(ours)} classes of {_name(source)} and {len(theirs)} of {_name(target)}'
    for index, (one, other) in enumerate(zip(ours, theirs)):
        if one != other:
            pair += f', first difference {index}: {one!r} and {other!r}'
            break
    raise ValueError(
        'train_dataloader: expected the same classes in the same order in source and target, but '
        f'got {pair}; write the same metainfo=dict(classes=...) for both'
    )


def _transforms(dataset: Any, kind: type | tuple[type, ...]) -> Iterator[tuple[Any, Any]]:
    """Transforms of a class, each with the dataset of its pipeline."""
    for transform in _flatten(getattr(dataset, 'pipeline', ())):
        if isinstance(transform, kind):
            yield transform, dataset
    for inner in wrapped(dataset):
        yield from _transforms(inner, kind)


def _flatten(transform: Any) -> Iterator[Any]:
    """A transform and those that it wraps."""
    yield transform
    # A MultiImageMixDataset's pipeline is a list, others are Compose with `transforms`.
    inner = transform if isinstance(transform, (list, tuple)) else ()
    for each in getattr(transform, 'transforms', inner):
        yield from _flatten(each)


def unwrap(dataset: Any) -> Iterator[Any]:
    """Find the built datasets inside of wrappers such as ConcatDataset and RepeatDataset."""
    for each in (inner := wrapped(dataset)):
        yield from unwrap(each)
    if not inner:
        yield dataset


def wrapped(dataset: Any) -> list[Any]:
    """List the datasets that a dataset wraps directly."""
    inner = getattr(dataset, 'dataset', None)
    return [*getattr(dataset, 'datasets', ()), *([] if inner is None else [inner])]


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


def _check_files(dataset: BaseDataset, key: str) -> None:
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        for field, hint in FILE_HINTS.items():
            path = info.get(field)
            if path is not None and not osp.isfile(path):
                raise ValueError(
                    f'{_name(dataset)}: expected the file {path!r}, which {key} lists ({field}), '
                    f'but it does not exist; {hint}'
                )


def _is_local(backend_args: Mapping[str, Any] | None) -> bool:
    return not backend_args or backend_args.get('backend', 'local') == 'local'


def _name(dataset: Any) -> str:
    return type(dataset).__name__
