"""Batches of noise, of the sizes and with the labels that a config's pipelines give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmcv.transforms import Pad, RandomChoiceResize, RandomResize, Resize
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.datasets.transforms import RandomCrop
from mmseg.structures import SegDataSample

from mmseg_uda.config.datasets import iter_datasets, transform_class
from mmseg_uda.config.domains import domain_loaders
from mmseg_uda.datasets.transforms import (
    IgnoreMargins,
    LoadImageLabels,
    LoadPseudoLabels,
    LoadSoftLabels,
    TrackPositions,
)
from mmseg_uda.doctor.weights import segmentor_of

__all__ = ['batch_shape', 'fake_batch', 'num_classes_of']

CLASSES = 19  # of a network that does not say
SOFT_STRIDE = 8  # of class probabilities on disk, in pixels
# Steps that make a size, the key that says it, and if that is (width, height).
SIZES: tuple[tuple[type, str, bool], ...] = (
    (Resize, 'scale', True),
    (RandomResize, 'scale', True),
    (RandomChoiceResize, 'scales', True),
    (RandomCrop, 'crop_size', False),
    (Pad, 'size', True),
)


def num_classes_of(cfg: Config) -> int:
    """Give the number of a network's classes, which a head inside of the head may say."""
    head = segmentor_of(cfg).get('decode_head') or {}
    while isinstance(head, Mapping) and 'num_classes' not in head and 'classifier' in head:
        head = head['classifier']
    return int(head.get('num_classes', CLASSES)) if isinstance(head, Mapping) else CLASSES


def batch_shape(
    cfg: Config, domain: str, crop: tuple[int, int] | None = None
) -> tuple[int, int, int, int]:
    """Compute the shape (N, C, H, W) of a domain's batch, of several sources by the first one.

    Args:
        cfg: The config of a training.
        domain: ``'source'`` or ``'target'``.
        crop: Height and width; default: as the pipeline makes them, at most.

    Raises:
        ValueError: There is no such dataset, or its pipeline does not say a size.
    """
    place, loader = _loader(cfg, domain)
    channels = (segmentor_of(cfg).get('backbone') or {}).get('in_channels', 3)
    for step in _steps(loader) if crop is None else ():
        for cls, key, by_width in SIZES:
            size = step.get(key) if issubclass(transform_class(step), cls) else None
            if size:
                size = max(size) if isinstance(size[0], (list, tuple)) else size
                crop = (size[1], size[0]) if by_width else (size[0], size[1])
    if crop is None:
        raise ValueError(
            f'memory: expected a size in {place}.dataset.pipeline, but got no RandomCrop or Resize '
            'with one; write --crop HEIGHT WIDTH'
        )
    return loader.get('batch_size', 1), channels, *crop


def fake_batch(cfg: Config, domain: str, crop: tuple[int, int] | None = None) -> dict[str, Any]:
    """Make a domain's batch as the preprocessor gives it, ``inputs`` and ``samples``.

    Args:
        cfg: The config of a training.
        domain: ``'source'`` or ``'target'``.
        crop: As for :func:`batch_shape`.
    """
    number, channels, *size = batch_shape(cfg, domain, crop)
    steps, classes = _steps(_loader(cfg, domain)[1]), num_classes_of(cfg)
    samples = []
    for seed in range(number):
        meta = dict(img_path='', img_shape=size, ori_shape=size, pad_shape=size, seed=seed)
        sample = SegDataSample(metainfo=meta)
        if domain == 'source':
            sample.gt_sem_seg = _map(size)
        for step in steps:
            kind = transform_class(step)
            if issubclass(kind, LoadSoftLabels):
                soft = [side // SOFT_STRIDE for side in size]
                sample.soft_label = torch.zeros(classes, *soft, dtype=torch.float16)
            elif issubclass(kind, LoadPseudoLabels):
                sample.pseudo_sem_seg = _map(size)
            elif issubclass(kind, LoadImageLabels):
                sample.image_label = torch.ones(classes)
            elif issubclass(kind, IgnoreMargins):
                sample.label_mask = _map(size, torch.bool)
            elif issubclass(kind, TrackPositions):
                shape = (step['height'], step['width'])
                sample.prior_positions = _map(size, torch.int32, prior_shape=shape)
        samples.append(sample)
    return dict(inputs=torch.randn(number, channels, *size), samples=samples)


def _map(size: list[int], dtype: torch.dtype = torch.long, **meta: Any) -> PixelData:
    """A value for each pixel, (1, H, W)."""
    return PixelData(data=torch.zeros(1, *size, dtype=dtype), metainfo=meta)


def _loader(cfg: Config, domain: str) -> tuple[str, Mapping[str, Any]]:
    loaders = domain_loaders(cfg.get('train_dataloader'), domain)
    if not loaders:
        raise ValueError(f'memory: expected train_dataloader.{domain}, but got none; write one')
    return loaders[0]


def _steps(loader: Mapping[str, Any]) -> list[Any]:
    _, dataset = next(iter_datasets(loader['dataset']))
    return list(dataset.get('pipeline') or ())
