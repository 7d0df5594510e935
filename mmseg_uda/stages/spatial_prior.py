"""The spatial prior of a config: its source's labels, read by its own label loading."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import ProgressBar
from mmseg.registry import DATASETS
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from mmseg_uda.artifacts.spatial_prior import (
    PriorCounter,
    PriorRecipe,
    SpatialPrior,
    resize_nearest,
)
from mmseg_uda.config.datasets import map_datasets, only_steps, steps_of_class
from mmseg_uda.datasets.checks import check_dataset, check_folders
from mmseg_uda.datasets.transforms.positions import TrackPositions

__all__ = ['make_spatial_prior', 'only_labels', 'prior_size', 'source_dataset']

KEY = 'train_dataloader.source.dataset'


def source_dataset(cfg: Config) -> dict[str, Any]:
    """Config of the source training set.

    Raises:
        ValueError: If the config has none.
    """
    dataset = cfg.get('train_dataloader', {}).get('source', {}).get('dataset')
    if not dataset:
        raise ValueError(
            f'the config has no {KEY}; write a config that adapts from a source domain'
        )
    return copy.deepcopy(dict(dataset))


def prior_size(cfg: Config) -> tuple[int, int]:
    """Height and width that the target pipeline's ``TrackPositions`` says.

    Raises:
        ValueError: If there is none.
    """
    target = cfg.get('train_dataloader', {}).get('target', {})
    for track in steps_of_class(target, TrackPositions):
        return track['height'], track['width']
    raise ValueError(
        'the config has no TrackPositions in train_dataloader.target.dataset.pipeline '
        'to take the size from; write it there, or give the size'
    )


def only_labels(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A data set that does nothing but load labels, by the transform that it has for that.

    Args:
        dataset: Its config; data sets inside wrappers are treated alike.

    Raises:
        ValueError: If a data set does not load labels.
    """

    def change(labels: dict[str, Any]) -> dict[str, Any]:
        steps = only_steps(labels.get('pipeline') or (), LoadAnnotations)
        if not steps:
            raise ValueError(f'{KEY}.pipeline loads no labels; add LoadAnnotations')
        return {**labels, 'pipeline': steps}

    return map_datasets(dataset, change, unwrap=True)


def make_spatial_prior(
    dataset: Mapping[str, Any], recipe: PriorRecipe, workers: int = 2
) -> SpatialPrior:
    """Count over a labelled data set, one label map after the other, with a progress bar.

    Args:
        dataset: Config of the source training set; images are not read.
        recipe: How.
        workers: Processes that load labels; 0 loads them in this one.

    Raises:
        ValueError: If data are missing or have no labels.
    """
    check_folders(dataset, KEY)
    with DefaultScope.overwrite_default_scope('mmseg'):  # mmengine has another LoadAnnotations
        built: Any = DATASETS.build(only_labels(dataset))
    classes = check_dataset(built, KEY)
    counter = PriorCounter(len(classes), recipe.height, recipe.width)
    loader = DataLoader(
        _Labels(built, recipe.height, recipe.width),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
    )
    bar = ProgressBar(len(built), file=sys.stderr)
    for label in loader:
        counter.add(label)
        bar.update()
    sys.stderr.write('\n')
    return SpatialPrior.from_counts(counter, recipe, classes)


class _Labels(Dataset[NDArray[Any]]):
    """Labels of a data set, small already when they leave a worker."""

    def __init__(self, dataset: Any, height: int, width: int) -> None:
        self.dataset = dataset
        self.size = (height, width)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> NDArray[Any]:
        return resize_nearest(self.dataset[index]['gt_seg_map'], *self.size)


def _as_it_is(label: Any) -> Any:
    return label
