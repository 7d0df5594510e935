"""Checks that end a wrong data set in one clear error before training starts.

``check_folders`` looks at a config, before anything is built; the others look at built data sets.
``key`` is always the place in the config that the error names.
"""

from __future__ import annotations

import inspect
import os
import os.path as osp
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS

from mmseg_uda.config.datasets import LABEL_LOADERS, iter_datasets
from mmseg_uda.datasets.transforms.image_labels import LoadImageLabels
from mmseg_uda.datasets.transforms.loading import LoadPseudoLabels

__all__ = [
    'check_dataset',
    'check_folders',
    'check_image_labels',
    'check_pseudo_labels',
    'check_same_classes',
    'check_unlabelled',
    'pseudo_label_loaders',
    'unwrap',
]

ROOT_HINT = 'set `data_root`, or the environment variable MMSEG_UDA_DATA that the configs read'
LABEL_HINT = 'tools/dataset_converters writes the labels of GTA5, SYNTHIA and Cityscapes'
FILE_HINTS = {
    'img_path': 'correct `data_prefix.img_path` or `ann_file`',
    'seg_map_path': f'{LABEL_HINT}; an `ann_file` leaves out the samples that it does not list',
}


def check_folders(cfg: Mapping[str, Any], key: str = 'dataset') -> None:
    """Check that the folders and the list file of a data set config exist and are not empty.

    Wrapped data sets are checked as well; data that is not in the local file system is not. Stock
    classes end in an error that does not name the folder, so call this before they are built.

    Args:
        cfg: Config of a data set.
        key: Its place in the config.

    Raises:
        ValueError: If a folder or the list file is missing, or has no image.
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
        if path and not osp.isdir(path):
            hint = f'; {LABEL_HINT}' if prefix_key == 'seg_map_path' else ''
            raise ValueError(
                f'{name}: {key}.data_prefix.{prefix_key} got {path!r}, which is not a '
                f'folder; {ROOT_HINT}, or correct `data_prefix`{hint}'
            )
    if cfg.get('ann_file'):
        _check_list(osp.join(root, cfg['ann_file']), name, key)
    elif 'img_path' in prefixes:
        _check_any_image(osp.join(root, prefixes['img_path']), cfg, name, key)


def check_dataset(dataset: Any, key: str = 'dataset') -> tuple[str, ...]:
    """Check that a built data set is not empty and that the files it lists exist.

    Args:
        dataset: A data set, wrapped or not.
        key: Its place in the config.

    Returns:
        The names of its classes.

    Raises:
        ValueError: If it is empty, lists a missing image or label, or does not name its classes.
    """
    for inner in unwrap(dataset):
        if len(inner) == 0:
            raise ValueError(
                f'{_name(inner)}: {key} got no sample; correct `data_prefix`, '
                '`ann_file` or `indices`'
            )
        if isinstance(inner, BaseDataset) and _is_local(getattr(inner, 'backend_args', None)):
            _check_files(inner, key)
    classes = dataset.metainfo.get('classes')
    if not classes:
        raise ValueError(
            f'{_name(dataset)}: {key} got no class names; write metainfo=dict(classes=...)'
        )
    return tuple(classes)


def check_unlabelled(dataset: Any, key: str = 'train_dataloader.target.dataset') -> None:
    """Check that the pipeline of a target training set does not load ground truth.

    Raises:
        ValueError: If it does.
    """
    for transform, inner in _transforms(dataset, LABEL_LOADERS):
        raise ValueError(
            f'{_name(inner)}: {key}.pipeline got {type(transform).__name__}, but '
            'adaptation never sees target labels; delete it (LoadPseudoLabels is for '
            'pseudo labels)'
        )


def pseudo_label_loaders(dataset: Any) -> Iterator[tuple[LoadPseudoLabels, Any]]:
    """The transforms that load pseudo labels, each with the data set whose pipeline it is in."""
    yield from _transforms(dataset, LoadPseudoLabels)


def check_pseudo_labels(dataset: Any, made_in_training: bool = False) -> None:
    """Check that the images of a training set have the pseudo labels that its pipeline loads.

    Args:
        dataset: A data set, wrapped or not.
        made_in_training: Whether ``pseudo_dir=None`` is right, as a hook will name the folder.

    Raises:
        FileNotFoundError: If the folder has no manifest, or an image no label.
        ValueError: If no folder is named, or its manifest does not fit.
    """
    for transform, inner in pseudo_label_loaders(dataset):
        if transform.pseudo_dir is None and made_in_training:
            continue
        for index in range(len(inner)):
            transform.path_of(inner.get_data_info(index)['img_path'])


def check_image_labels(dataset: Any) -> None:
    """Check that the images of a training set have the labels that its pipeline loads for them.

    Args:
        dataset: A data set, wrapped or not.

    Raises:
        FileNotFoundError: If there is no file of image-level labels, or it lacks an image.
        ValueError: If it does not fit, or has not as many classes as the data set.
    """
    for transform, inner in _transforms(dataset, LoadImageLabels):
        classes = inner.metainfo.get('classes') or ()
        if len(classes) != transform.num_classes:
            raise ValueError(
                f'LoadImageLabels.num_classes got {transform.num_classes}, but '
                f'{_name(inner)} has {len(classes)} classes; write '
                f'num_classes={len(classes)}'
            )
        for index in range(len(inner)):
            transform.label_of(inner.get_data_info(index)['img_path'])


def check_same_classes(source: Any, target: Any) -> None:
    """Check that source and target have the same classes in the same order.

    Raises:
        ValueError: If they have not.
    """
    ours, theirs = (tuple(dataset.metainfo.get('classes') or ()) for dataset in (source, target))
    if ours == theirs:
        return
    pair = f'{_name(source)} has {len(ours)} classes and {_name(target)} has {len(theirs)}'
    for index, (one, other) in enumerate(zip(ours, theirs)):
        if one != other:
            pair += f', first difference {index}: {one!r} and {other!r}'
            break
    raise ValueError(
        'train_dataloader.source and train_dataloader.target must have the same '
        f'classes in the same order, but {pair}; write the same '
        'metainfo=dict(classes=...) for both'
    )


def _transforms(dataset: Any, kind: type | tuple[type, ...]) -> Iterator[tuple[Any, Any]]:
    """The transforms of a kind, each with the data set whose pipeline it is in."""
    for transform in _flatten(getattr(dataset, 'pipeline', ())):
        if isinstance(transform, kind):
            yield transform, dataset
    for inner in _wrapped(dataset):
        yield from _transforms(inner, kind)


def _flatten(transform: Any) -> Iterator[Any]:
    """A transform and those that it wraps."""
    yield transform
    inner = transform if isinstance(transform, (list, tuple)) else ()
    for each in getattr(transform, 'transforms', inner):
        yield from _flatten(each)


def unwrap(dataset: Any) -> Iterator[Any]:
    """The data sets that lie inside ConcatDataset, RepeatDataset and the like."""
    inner = _wrapped(dataset)
    if not inner:
        yield dataset
    for each in inner:
        yield from unwrap(each)


def _wrapped(dataset: Any) -> list[Any]:
    inner = getattr(dataset, 'dataset', None)
    return [*getattr(dataset, 'datasets', ()), *([] if inner is None else [inner])]


def _check_list(path: str, name: str, key: str) -> None:
    if not osp.isfile(path):
        raise ValueError(
            f'{name}: {key}.ann_file got {path!r}, which is not a file; {ROOT_HINT}, '
            "run the data set's converter in tools/dataset_converters, which writes "
            "this list, or write ann_file='' to use all images"
        )
    if osp.getsize(path) == 0:
        raise ValueError(
            f'{name}: {key}.ann_file got {path!r}, which has no line; run the data '
            "set's converter again, or write ann_file='' to use all images"
        )


def _check_any_image(folder: str, cfg: Mapping[str, Any], name: str, key: str) -> None:
    suffix = cfg.get('img_suffix')
    cls = DATASETS.get(name) if isinstance(name, str) else name
    if suffix is None and cls is not None:
        parameter = inspect.signature(cls).parameters.get('img_suffix')
        suffix = parameter.default if parameter else ''
    for _, _, files in os.walk(folder, followlinks=True):
        if any(file.endswith(suffix or '') for file in files):
            return
    raise ValueError(
        f'{name}: {key}.data_prefix.img_path got {folder!r}, in which no file ends in '
        f'{suffix!r}; correct `data_prefix.img_path` or `img_suffix`'
    )


def _check_files(dataset: BaseDataset, key: str) -> None:
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        for field, hint in FILE_HINTS.items():
            path = info.get(field)
            if path is not None and not osp.isfile(path):
                raise ValueError(
                    f'{_name(dataset)}: {key} lists {path!r} ({field}), which does '
                    f'not exist; {hint}'
                )


def _is_local(backend_args: Mapping[str, Any] | None) -> bool:
    return not backend_args or backend_args.get('backend', 'local') == 'local'


def _name(dataset: Any) -> str:
    return type(dataset).__name__
