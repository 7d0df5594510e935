"""Comparison of pseudo labels with true labels of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmseg.evaluation import IoUMetric
from numpy.typing import NDArray

from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.config.datasets import iter_datasets, loads_labels, map_datasets
from mmseg_uda.datasets.checks import build_dataset
from mmseg_uda.structures import IGNORE_INDEX

__all__ = ['label_quality', 'labelled_images']

OF_THESE_IMAGES = ('ann_file', 'data_root', 'indices')


def labelled_images(
    target: Mapping[str, Any], validation: Mapping[str, Any], directory: str
) -> Any:
    """Build the dataset of the target's training images and their true labels.

    Args:
        target: Config of the training images' dataset.
        validation: Config of a dataset of the same kind with labels. Its class, suffixes and
            loaders read the labels.
        directory: Directory of the labels, relative to ``data_root``.
    """
    _, labelled = next(iter_datasets(validation))

    def change(images: dict[str, Any]) -> dict[str, Any]:
        merged = {key: labelled[key] for key in labelled if key not in OF_THESE_IMAGES}
        merged.update({key: images[key] for key in images if key in OF_THESE_IMAGES})
        return {
            **merged,
            'data_prefix': {**images.get('data_prefix', {}), 'seg_map_path': directory},
            'pipeline': [step for step in labelled['pipeline'] if loads_labels(step)],
            'test_mode': True,
        }

    return build_dataset(map_datasets(target, change, unwrap=True))


def label_quality(
    directory: str | Path, manifest: Manifest, dataset: Any
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Compare pseudo labels with true ones.

    Args:
        directory: Directory of the pseudo labels.
        manifest: Its manifest.
        dataset: From :func:`labelled_images`. Labels of another size than the pseudo label's are
            resized to it, by the nearest pixel.

    Returns:
        Of each class, and last of all: the share of its pseudo labels that are right, where the
        truth is known, and its IoU, for which a pixel without a pseudo label is a miss. Shape
        (C + 1,) each, in 0..1, NaN where there is nothing to divide by; IoU's last is the mean.

    Raises:
        FileNotFoundError: An image or its label is missing.
        ValueError: No image of the dataset has a pseudo label.
    """
    num_classes = manifest.num_classes
    # Intersection, union, pixels of the pseudo labels, true pixels.
    areas = [torch.zeros(num_classes, dtype=torch.float64) for _ in range(4)]
    found = 0
    for index in range(len(dataset)):
        sample = dataset[index]
        name = manifest.find(sample['img_path'])
        if name is None:
            continue
        found += 1
        path = Path(directory, name)
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if label is None:
            raise FileNotFoundError(f'label_quality: expected a label, but there is no file {path}')
        size = label.shape[::-1]
        truth = cv2.resize(sample['gt_seg_map'], size, interpolation=cv2.INTER_NEAREST)
        counts = IoUMetric.intersect_and_union(
            torch.from_numpy(label), torch.from_numpy(truth), num_classes, IGNORE_INDEX
        )
        for total, count in zip(areas, counts):
            total += count
    if not found:
        raise ValueError(f'label_quality: no image of {len(dataset)} has a label in {directory}')
    right, union, labelled, _ = (area.numpy() for area in areas)
    with np.errstate(invalid='ignore'):
        precision = np.append(right, right.sum()) / np.append(labelled, labelled.sum())
        iou = right / union
    return precision, np.append(iou, np.nanmean(iou))
