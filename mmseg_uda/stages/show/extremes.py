"""The images that a model segments best and worst."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from torch import Tensor

from mmseg_uda.engine.observe import segment
from mmseg_uda.stages.show.samples import Sample, find_dataset, preprocess
from mmseg_uda.structures import IGNORE_INDEX

__all__ = ['extreme_samples', 'image_iou']


def image_iou(predicted: Tensor, label: Tensor, ignore_index: int = IGNORE_INDEX) -> float:
    """Compute the mean IoU of an image over the classes of its label; NaN without any.

    Args:
        predicted: Classes, shape (H, W).
        label: Classes or ``ignore_index``, shape (H, W).
        ignore_index: Label of pixels that do not count.

    Returns:
        In per cent.

    Example:
        >>> image_iou(torch.tensor([[0, 0, 1]]), torch.tensor([[0, 1, 255]]))
        25.0
    """
    counted = label != ignore_index
    predicted, label = predicted[counted], label[counted]
    ious = []
    for index in torch.unique(label):
        ours, theirs = predicted == index, label == index
        ious.append((ours & theirs).sum() / (ours | theirs).sum())
    return 100 * float(torch.stack(ious).mean()) if ious else float('nan')


def extreme_samples(
    cfg: Config, model: Any, number: int
) -> tuple[list[tuple[str, Sample]], dict[str, Any]]:
    """Find the best and the worst images of the test split by the mean IoU of each.

    Args:
        cfg: The model's config.
        model: The model, in evaluation mode.
        number: How many of each.

    Returns:
        A title and the sample of each, the best first, and the split's meta data.

    Raises:
        ValueError: The test split has no labels.
    """
    dataset = DATASETS.build(find_dataset(cfg, 'test_dataloader', 'val_dataloader'))
    scores = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        if 'gt_sem_seg' not in sample['data_samples']:
            raise ValueError('show_attention: expected labels of the test split, but got none')
        label = sample['data_samples'].gt_sem_seg.data[0]
        score = image_iou(_as_large(_predict(model, sample), label), label)
        if not math.isnan(score):
            scores[index] = score
    ranked = sorted(scores, key=lambda index: scores[index])
    chosen = dict.fromkeys(ranked[::-1][:number], 'best') | dict.fromkeys(ranked[:number], 'worst')
    found = [(f'{text}: mIoU {scores[i]:.1f}', dataset[i]) for i, text in chosen.items()]
    return found, dataset.metainfo


def _predict(model: Any, sample: dict[str, Any]) -> Tensor:
    height, width = sample['inputs'].shape[1:]
    return segment(model, preprocess(model, sample))[0][0, :height, :width]


def _as_large(predicted: Tensor, label: Tensor) -> Tensor:
    """Resize a prediction to its label, which keeps its size where the pipeline resizes images."""
    resized = torch.nn.functional.interpolate(
        predicted[None, None].float(), label.shape[-2:], mode='nearest'
    )
    return resized[0, 0].long().cpu()
