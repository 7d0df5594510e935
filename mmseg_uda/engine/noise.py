"""Trainings on noise: images of the sizes and with the labels that a config's pipelines give."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from mmcv.transforms import LoadAnnotations, Pad, RandomChoiceResize, RandomResize, Resize
from mmengine.config import Config
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import MODELS

from mmseg_uda.config.datasets import iter_datasets, transform_class
from mmseg_uda.config.domains import domain_loaders
from mmseg_uda.config.method import num_classes_of, segmentor_of
from mmseg_uda.config.places import find_class
from mmseg_uda.config.reads import KINDS
from mmseg_uda.config.signatures import signature_of
from mmseg_uda.datasets.transforms import (
    IgnoreMargins,
    LoadImageLabels,
    LoadPseudoLabels,
    LoadSoftLabels,
    TrackPositions,
)
from mmseg_uda.structures import DOMAINS

__all__ = ['image_size', 'noise_dataset', 'with_noise', 'without_files']

# Steps that make a size, the key that says it, and if that is (width, height).
SIZES: tuple[tuple[type, str, bool], ...] = (
    (Resize, 'scale', True),
    (RandomResize, 'scale', True),
    (RandomChoiceResize, 'scales', True),
    (RandomCrop, 'crop_size', False),
    (Pad, 'size', True),
)
PARTS = ('dataloader', 'cfg', 'evaluator')  # of a validation or test
# The first that fits counts: soft labels are a kind of pseudo labels.
FIELDS: tuple[tuple[type, str], ...] = (
    (LoadSoftLabels, 'soft_label'),
    (LoadPseudoLabels, 'pseudo_sem_seg'),
    (LoadImageLabels, 'image_label'),
    (LoadAnnotations, 'gt_sem_seg'),
    (IgnoreMargins, 'label_mask'),
    (TrackPositions, 'prior_positions'),
)


def with_noise(cfg: Config, crop: tuple[int, int] | None = None) -> Config:
    """Change a config so that it trains without any file: on noise, from random weights.

    Validation is left out, and so are rare class sampling and files that the method would read.

    Args:
        cfg: The config of a training.
        crop: Height and width of the images; default: as the pipelines make them.

    Raises:
        ValueError: As :func:`noise_dataset`.
    """
    changed = copy.deepcopy(cfg)
    loaders: dict[str, Any] = {}
    for domain in DOMAINS:
        for _, loader in domain_loaders(cfg.train_dataloader, domain)[:1]:
            dataset = noise_dataset(cfg, domain, crop)
            loaders[domain] = dict(batch_size=loader.get('batch_size', 1), dataset=dataset)
    both = 'source' in cfg.train_dataloader
    changed.train_dataloader = loaders if both else dict(cfg.train_dataloader, **loaders['source'])
    for split in ('val', 'test'):
        changed.update(dict.fromkeys(f'{split}_{each}' for each in PARTS))
    changed.load_from = None
    changed.model = without_files(cfg.model)
    return changed


def without_files(node: Any, but: Collection[str] = ()) -> Any:
    """Leave out the files that a model reads; parts that need one are allowed to be untrained.

    Args:
        node: The config of a model, or a part of it.
        but: Keys to keep, of those in ``KINDS``.
    """
    if isinstance(node, (list, tuple)):
        return [without_files(each, but) for each in node]
    if not isinstance(node, Mapping):
        return node
    kept = {
        key: without_files(value, but)
        for key, value in node.items()
        if key not in KINDS or key in but
    }
    init = kept.get('init_cfg')
    if isinstance(init, Mapping) and init.get('type') == 'Pretrained':
        kept['init_cfg'] = None
    kind = find_class(node.get('type'), (MODELS,))
    if kind is not None and 'allow_untrained' in signature_of(kind).hints:
        kept['allow_untrained'] = True
    return kept


def noise_dataset(cfg: Config, domain: str, crop: tuple[int, int] | None = None) -> dict[str, Any]:
    """Make the config of a :class:`NoiseDataset` in a domain's place.

    Args:
        cfg: The config of a training.
        domain: ``'source'`` or ``'target'``; of several sources the first one is taken.
        crop: As for :func:`image_size`.

    Raises:
        ValueError: There is no such dataset, or its pipeline does not say a size.
    """
    steps = _steps(_loader(cfg, domain)[1])
    kinds = [transform_class(step) for step in steps]
    found = [next((field for cls, field in FIELDS if issubclass(kind, cls)), '') for kind in kinds]
    dataset = dict(
        type='NoiseDataset',
        size=image_size(cfg, domain, crop),
        num_classes=num_classes_of(cfg),
        fields=list(dict.fromkeys(filter(None, found))),
        channels=(segmentor_of(cfg).get('backbone') or {}).get('in_channels', 3),
    )
    for step in steps:
        if issubclass(transform_class(step), TrackPositions):
            dataset['prior_size'] = (step['height'], step['width'])
    return dataset


def image_size(cfg: Config, domain: str, crop: tuple[int, int] | None = None) -> tuple[int, int]:
    """Compute height and width of a domain's images after its pipeline, at most.

    Args:
        cfg: The config of a training.
        domain: As for :func:`noise_dataset`.
        crop: Height and width instead.

    Raises:
        ValueError: As :func:`noise_dataset`.
    """
    place, loader = _loader(cfg, domain)
    for step in _steps(loader) if crop is None else ():
        for cls, key, by_width in SIZES:
            size = step.get(key) if issubclass(transform_class(step), cls) else None
            if size:
                size = max(size) if isinstance(size[0], (list, tuple)) else size
                crop = (size[1], size[0]) if by_width else (size[0], size[1])
    if crop is None:
        raise ValueError(
            f'{place}.dataset.pipeline: expected a size, but got no RandomCrop or Resize with one; '
            'write the crop (--crop HEIGHT WIDTH)'
        )
    return crop[0], crop[1]


def _loader(cfg: Config, domain: str) -> tuple[str, Mapping[str, Any]]:
    loaders = domain_loaders(cfg.get('train_dataloader'), domain)
    if not loaders:
        raise ValueError(f'train_dataloader.{domain}: expected a dataset, but got none; write one')
    return loaders[0]


def _steps(loader: Mapping[str, Any]) -> list[Any]:
    _, dataset = next(iter_datasets(loader['dataset']))
    return list(dataset.get('pipeline') or ())
