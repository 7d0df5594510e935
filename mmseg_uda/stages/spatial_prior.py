"""The spatial prior of CAMix: how often each class is at each pixel of the source's labels.

The method is that of CBST (Zou et al., "Unsupervised Domain Adaptation for Semantic Segmentation
via Class-Balanced Self-Training", ECCV 2018, `arXiv:1810.07911 <https://arxiv.org/abs/1810.07911>`_),
from which CAMix takes it: label maps are brought to one size, the frequency of each class is
counted at each pixel, smoothed by a Gaussian of 70 x 70 pixels, and normalised per class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.artifacts.spatial_prior import BORDERS, FORMAT_VERSION, PriorRecipe, SpatialPrior
from mmseg_uda.config.datasets import steps_of_class
from mmseg_uda.datasets.transforms.positions import TrackPositions
from mmseg_uda.stages.base import ConfigStage, Resolve, Result
from mmseg_uda.stages.source_labels import build_labels, label_of, only_labels, source_dataset
from mmseg_uda.utils.processes import on_main
from mmseg_uda.utils.progress import track
from mmseg_uda.version import __version__

__all__ = ['SpatialPriorStage', 'make_spatial_prior', 'prior_size']


class Counts(NamedTuple):
    """Counts of label maps.

    Args:
        counts: Label maps that have each class at each pixel; shape (C, H, W), int32.
        images: Number of label maps.
        digest: SHA-256 of all label maps, in their order.
    """

    counts: NDArray[np.int32]
    images: int
    digest: str


def count_classes(
    labels: Iterable[NDArray[Any]], num_classes: int, height: int, width: int
) -> Counts:
    """Count how often each class is at each pixel.

    Args:
        labels: Shape (h, w), any integer type; brought to (H, W) by :func:`resize_nearest`. Values
            that are no class count nowhere.
        num_classes: C.
        height: H.
        width: W.

    Raises:
        ValueError: If a label is no single-channel map.
    """
    counts, images, digest = np.zeros((num_classes, height * width), np.int32), 0, ''
    for label in labels:
        flat = resize_nearest(label, height, width).reshape(-1)  # (H * W, )
        digest = sha256([digest, flat])
        places = np.flatnonzero((flat >= 0) & (flat < num_classes))
        # Each place once, so that nothing is lost in adding to an indexed array.
        counts[flat[places], places] += 1
        images += 1
    return Counts(counts.reshape(num_classes, height, width), images, digest)


def resize_nearest(label: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Resize a label map (h, w) to (H, W) by OpenCV's nearest, as mmseg's ``Resize`` does.

    Raises:
        ValueError: If the label is no single-channel map.
    """
    if label.ndim != 2:
        raise ValueError(
            f'resize_nearest.label: expected a label map of shape (H, W), but got {label.shape}'
        )
    if label.shape == (height, width):
        return label
    return mmcv.imresize(label, (width, height), interpolation='nearest', backend='cv2')


def smooth(frequencies: NDArray[Any], recipe: PriorRecipe) -> NDArray[np.float64]:
    """Smooth each class's map by the recipe's Gaussian; shape (C, H, W)."""
    assert recipe.kernel is not None  # the recipe fills in what was left out
    assert recipe.sigma is not None
    window, border = (recipe.kernel, recipe.kernel), BORDERS[recipe.border]
    return np.stack(
        [
            cv2.GaussianBlur(each.astype(np.float64), window, recipe.sigma, borderType=border)
            for each in frequencies
        ]
    )


def normalize(frequencies: NDArray[np.float64], norm: str) -> NDArray[np.float32]:
    """Normalise as ``PriorRecipe.norm`` says; a sum of 0 leaves zeros. Shape (C, H, W)."""
    if norm != 'none':
        axes: Any = (1, 2) if norm == 'class' else 0
        total = frequencies.sum(axes, keepdims=True)
        frequencies = np.divide(frequencies, total, out=np.zeros_like(frequencies), where=total > 0)
    return frequencies.astype(np.float32)


def build_prior(
    labels: Iterable[NDArray[Any]], recipe: PriorRecipe, classes: Sequence[str]
) -> SpatialPrior:
    """Count label maps, smooth and normalise the counts.

    Args:
        labels: As for :func:`count_classes`.
        recipe: The settings.
        classes: Name of each class.

    Raises:
        ValueError: If no pixel has a class, or a label is no single-channel map.
    """
    counts, images, digest = count_classes(labels, len(classes), recipe.height, recipe.width)
    if not counts.any():
        raise ValueError(
            'build_prior: expected labelled pixels, but got none; correct the source dataset'
        )
    made_with = dict(
        dataclasses.asdict(recipe),
        classes=list(classes),
        images=images,
        labels_sha256=digest,
        package_version=__version__,
        format_version=FORMAT_VERSION,
    )
    frequencies = smooth(counts / images, recipe)  # (C, H, W)
    return SpatialPrior(normalize(frequencies, recipe.norm), made_with)


def prior_size(cfg: Config) -> tuple[int, int]:
    """Give height and width as the target pipeline's ``TrackPositions`` says.

    Raises:
        ValueError: If there is none.
    """
    target = cfg.get('train_dataloader', {}).get('target', {})
    for step in steps_of_class(target, TrackPositions):
        return step['height'], step['width']
    raise ValueError(
        'the config has no TrackPositions in train_dataloader.target.dataset.pipeline '
        'to take the size from; write it there, or give the size'
    )


def make_spatial_prior(
    dataset: Mapping[str, Any], recipe: PriorRecipe, workers: int = 2
) -> SpatialPrior:
    """Build the prior of a labelled dataset, and show the progress.

    Args:
        dataset: Config of the source training set; images are not read.
        recipe: The settings.
        workers: Processes that load labels; 0 loads them in this one.

    Raises:
        ValueError: If data are missing or have no labels.
    """
    built, classes = build_labels(dataset)
    # The collate function works in the workers, which so hand over small labels.
    size = (recipe.height, recipe.width)
    collate = partial(_small_label, size=size, num_classes=len(classes))
    loader = DataLoader(built, batch_size=None, num_workers=workers, collate_fn=collate)
    return build_prior(track(loader, len(built), 'labels'), recipe, classes)


def _small_label(sample: dict[str, Any], size: tuple[int, int], num_classes: int) -> NDArray[Any]:
    return resize_nearest(label_of(sample, num_classes), *size)


class SpatialPriorStage(ConfigStage):
    """Counts where the classes of the config's source labels are; ``{name}`` is the file."""

    kind = 'spatial_prior'
    optional = ('options', 'size', 'kernel', 'sigma', 'border', 'norm', 'workers')
    unrecorded = ('config', 'options', 'size', 'workers')
    makes = 'prior'
    takers = (PriorRecipe, make_spatial_prior)

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        return {'train_dataloader': {'source': {'dataset': only_labels(source_dataset(cfg))}}}

    def settings(self) -> dict[str, Any]:
        size = self.arguments.get('size') or prior_size(self.load())
        return dataclasses.asdict(PriorRecipe(*size, **super().settings()))

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'prior.npz'
        dataset, recipe = source_dataset(self.load(resolve)), PriorRecipe(**self.settings())
        workers = self.arguments.get('workers', 2)
        on_main(lambda: make_spatial_prior(dataset, recipe, workers).write(out))
        return Result({'output': out})
