"""Images of a config's datasets, for pictures and for the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS

from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.engine.hooks.reference_context_hook import load_images, plain_dataset
from mmseg_uda.structures import ImageBatch
from mmseg_uda.utils.drawing import loaded_to_rgb

__all__ = ['Sample', 'load_source', 'load_targets', 'picture', 'preprocess']

Sample = dict[str, Any]


def find_dataset(cfg: Config, *keys: str) -> dict[str, Any]:
    """Return the config of the first dataloader's dataset that is there."""
    for key in keys:
        loader = cfg
        for part in key.split('.'):
            loader = (loader or {}).get(part)
        if loader is not None:
            return loader['dataset']
    raise ValueError(
        f'show_attention: expected {keys[0]} in the config, but got none; write the config that '
        'the model was trained with'
    )


def load_source(cfg: Config, path: str | None) -> Sample:
    """Load one source image through its pipeline, without augmentation."""
    config = domain_dataset(cfg.get('train_dataloader'), 'source')
    dataset = plain_dataset(config or find_dataset(cfg, 'train_dataloader.source'))
    return dataset[0] if path is None else load_images(dataset, [path])[0]


def load_targets(
    cfg: Config, paths: Sequence[str] | None, count: int
) -> tuple[list[Sample], dict[str, Any]]:
    """Load target images, of the test split with ground truth, and the split's meta data."""
    config = find_dataset(cfg, 'test_dataloader', 'val_dataloader')
    if paths is not None:
        dataset = plain_dataset(config)
        return load_images(dataset, paths), dataset.metainfo
    dataset = DATASETS.build(config)
    return [dataset[index] for index in range(min(count, len(dataset)))], dataset.metainfo


def picture(sample: Sample) -> np.ndarray:
    """Return the image that the pipeline gives, as RGB."""
    return loaded_to_rgb(sample['inputs'].numpy())


def preprocess(model: Any, sample: Sample, domain: str = 'target') -> ImageBatch:
    """Prepare one image for the network."""
    preprocessor = getattr(model.data_preprocessor, domain, model.data_preprocessor)
    return ImageBatch(*preprocessor(pseudo_collate([sample]), False).values())
