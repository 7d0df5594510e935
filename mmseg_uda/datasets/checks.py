"""Checks that refuse a wrong dataset by one clear error before training starts.

They read built datasets; ``folders.py`` reads a config before. ``key`` is the place in the config
that the error names.
"""

from __future__ import annotations

import os.path as osp
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dataset import BaseDataset
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import DATASETS

from mmseg_uda.config.datasets import LABEL_LOADERS
from mmseg_uda.datasets.folders import LABEL_HINT, check_folders, is_local
from mmseg_uda.datasets.label_files import check_label_files
from mmseg_uda.datasets.transforms.image_labels import LoadImageLabels
from mmseg_uda.datasets.transforms.loading import LoadPseudoLabels

__all__ = [
    'build_dataset',
    'check_dataset',
    'check_image_labels',
    'check_pseudo_labels',
    'check_same_classes',
    'check_unlabelled',
    'cropped_image_labels',
    'pseudo_label_loaders',
    'skip_hidden_files',
    'unwrap',
    'wrapped',
]

HIDDEN = re.compile(r'(^|[/\\])\.[^./\\]')
FILE_HINTS = {
    'img_path': 'correct `data_prefix.img_path` or `ann_file`',
    'seg_map_path': f'{LABEL_HINT}; an `ann_file` leaves out samples without a label',
}


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
        if isinstance(inner, BaseDataset) and is_local(getattr(inner, 'backend_args', None)):
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
    _update_lengths(dataset)


def _update_lengths(dataset: Any) -> None:
    """Let wrappers count anew the samples of what they wrap."""
    for each in (inner := wrapped(dataset)):
        _update_lengths(each)
    if inner and hasattr(dataset, 'num_samples'):  # MultiImageMixDataset
        dataset.num_samples = len(dataset.dataset)
    elif inner and isinstance(getattr(dataset, '_fully_initialized', None), bool):
        dataset._fully_initialized = False
        dataset.full_init()


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


def cropped_image_labels(dataset: Any, key: str) -> str:
    """Describe a pipeline that crops images whose labels are shares of classes in the whole image.

    Args:
        dataset: A dataset, wrapped or not.
        key: Its place in the config.

    Returns:
        The warning; empty without such a pipeline.
    """
    labelled = {id(inner) for _, inner in _transforms(dataset, LoadImageLabels)}
    if not any(id(inner) in labelled for _, inner in _transforms(dataset, RandomCrop)):
        return ''
    return (
        f'{key}.pipeline: LoadImageLabels reads labels of whole images, but RandomCrop cuts the '
        'images, so that labels describe other pixels; leave it out'
    )


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


def _name(dataset: Any) -> str:
    return type(dataset).__name__
