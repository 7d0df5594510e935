"""The source's labels as its training set loads them, for stages that count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from mmseg_uda.config.datasets import map_datasets, only_steps
from mmseg_uda.config.domains import domain_dataset, domain_loaders
from mmseg_uda.datasets.checks import check_dataset
from mmseg_uda.datasets.folders import check_folders
from mmseg_uda.structures import IGNORE_INDEX

__all__ = ['build_labels', 'label_of', 'only_labels', 'source_dataset']

KEY = 'train_dataloader.source.dataset'


def source_dataset(cfg: Config) -> dict[str, Any]:
    """Give the config of the source training set, which joins those of several sources.

    A source with ``num_images`` is left out: the rest of its labels is not to be read.

    Raises:
        ValueError: If the config has none.
    """
    loaders = domain_loaders(cfg.get('train_dataloader'), 'source')
    whole = [loader for _, loader in loaders if not loader.get('num_images')]
    dataset = domain_dataset({'source': whole}, 'source')
    if not dataset:
        raise ValueError(f'the config has no {KEY}; write a config that adapts from a source')
    return dict(dataset)


def only_labels(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Give the config of a dataset that only loads labels, by its own transform for that.

    Args:
        dataset: Its config; datasets inside wrappers are treated alike.

    Raises:
        ValueError: If a dataset does not load labels.
    """

    def change(labels: dict[str, Any]) -> dict[str, Any]:
        steps = only_steps(labels.get('pipeline') or (), LoadAnnotations)
        if not steps:
            raise ValueError(f'{KEY}.pipeline loads no labels; add LoadAnnotations')
        return {**labels, 'pipeline': steps}

    return map_datasets(dataset, change, unwrap=True)


def build_labels(dataset: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Build a dataset whose samples hold labels alone, ``gt_seg_map`` (h, w).

    Args:
        dataset: Config of the source training set; images are not read.

    Returns:
        The dataset, and the names of its classes.

    Raises:
        ValueError: If data are missing or have no labels.
    """
    check_folders(dataset, KEY)
    with DefaultScope.overwrite_default_scope('mmseg'):  # mmengine has another LoadAnnotations
        built: Any = DATASETS.build(only_labels(dataset))
    return built, check_dataset(built, KEY)


def label_of(sample: Mapping[str, Any], num_classes: int) -> NDArray[Any]:
    """Give the label (h, w) of a sample of :func:`build_labels`.

    Raises:
        ValueError: It has a value of no class.
    """
    label: NDArray[Any] = sample['gt_seg_map']
    wrong = label[(label >= num_classes) & (label != IGNORE_INDEX)]
    if wrong.size:
        raise ValueError(
            f'{KEY}: expected labels below {num_classes} or {IGNORE_INDEX}, but got '
            f'{int(wrong[0])} in {sample["seg_map_path"]!r}; convert them to train ids with '
            'tools/dataset_converters'
        )
    return label
