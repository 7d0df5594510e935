"""Pixels of each class in each label map of the source, for rare class sampling (DAFormer)."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from mmseg_uda.artifacts.class_counts import ClassCounts
from mmseg_uda.artifacts.lookup import relative_names
from mmseg_uda.datasets.checks import unwrap
from mmseg_uda.datasets.endless import DAMAGE, is_damage
from mmseg_uda.stages.base import ConfigStage, Resolve, Result
from mmseg_uda.stages.source_labels import build_labels, label_of, only_labels, source_dataset
from mmseg_uda.utils.processes import on_main
from mmseg_uda.utils.progress import track
from mmseg_uda.version import __version__

__all__ = ['ClassCountsStage', 'count_classes', 'make_class_counts']


def count_classes(label: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Count the pixels of each class; other values, such as the ignore index, count nowhere.

    Args:
        label: Shape (H, W), any integer type.
        num_classes: C.

    Returns:
        Shape (C, ).

    Example:
        >>> count_classes(np.array([[0, 2, 2, 255]]), num_classes=3)
        array([1, 0, 2])
    """
    flat = label.ravel()
    if label.dtype != np.uint8:
        flat = flat[(flat >= 0) & (flat < num_classes)]
    return np.bincount(flat, minlength=num_classes)[:num_classes]


class _Counts(Dataset[Any]):
    """Counts (C, ) of each label, or the error of a damaged file."""

    def __init__(self, labels: Any, indices: list[int], num_classes: int) -> None:
        self.labels = labels
        self.indices = indices
        self.num_classes = num_classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> NDArray[np.int64] | str:
        try:
            label = label_of(self.labels[self.indices[index]], self.num_classes)
        except DAMAGE as error:
            if not is_damage(error):
                raise
            return str(error).strip()
        return count_classes(label, self.num_classes)


def make_class_counts(dataset: Mapping[str, Any], workers: int = 2) -> ClassCounts:
    """Count the classes in each label of a dataset, and show the progress.

    A damaged label is logged, and has a row of zeros: rare class sampling never draws it.

    Args:
        dataset: Config of the source training set; images are not read.
        workers: Processes that load labels; 0 loads them in this one.

    Raises:
        ValueError: If data are missing or have no labels.
    """
    labels, classes = build_labels(dataset)
    paths = [labels.get_data_info(index)['seg_map_path'] for index in range(len(labels))]
    first = {path: index for index, path in reversed(list(enumerate(paths)))}  # each file once
    paths = list(dict.fromkeys(paths))
    names = relative_names(paths, _label_directory(labels))
    counted = _Counts(labels, [first[path] for path in paths], len(classes))
    loader = DataLoader(counted, batch_size=None, num_workers=workers, collate_fn=_unchanged)
    counts, broken = np.zeros((len(names), len(classes)), np.int64), {}
    results = zip(names, track(loader, len(names), 'labels'))
    for row, (name, found) in enumerate(results):
        if isinstance(found, str):
            print_log(f'make_class_counts: leaves out {name}: {found}', 'current')
            broken[name] = found
        else:
            counts[row] = found
    if not counts.any():
        raise ValueError(
            'make_class_counts: expected labelled pixels, but got none; correct the source dataset'
        )
    recipe = dict(classes=list(classes), broken=broken, package_version=__version__)
    return ClassCounts(names, counts, recipe)


def _unchanged(found: Any) -> Any:
    return found


def _label_directory(labels: Any) -> str | None:
    """The directory of all label files; None if the datasets do not say theirs."""
    found: list[Any] = [
        (getattr(each, 'data_prefix', None) or {}).get('seg_map_path') for each in unwrap(labels)
    ]
    return osp.commonpath([osp.abspath(each) for each in found]) if all(found) else None


class ClassCountsStage(ConfigStage):
    """Counts the classes in each of the config's source labels; ``{name}`` is the file."""

    kind = 'class_counts'
    optional = ('options', 'workers')
    unrecorded = ('config', 'options', 'workers')
    makes = 'class_counts'
    takers = (make_class_counts,)

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        return {'train_dataloader': {'source': {'dataset': only_labels(source_dataset(cfg))}}}

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'class_counts.npz'
        dataset, workers = source_dataset(self.load(resolve)), self.arguments.get('workers', 2)
        on_main(lambda: make_class_counts(dataset, workers).write(out))
        return Result({'output': out})
