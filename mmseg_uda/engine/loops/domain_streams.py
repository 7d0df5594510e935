"""The stream of samples of a domain, built from its config."""

from __future__ import annotations

import copy
import os.path as osp
from collections.abc import Mapping
from typing import Any

from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmseg.registry import DATA_SAMPLERS

from mmseg_uda.config.domains import unequal_arguments
from mmseg_uda.datasets.checks import (
    check_dataset,
    check_image_labels,
    check_pseudo_labels,
    check_unlabelled,
    skip_hidden_files,
)
from mmseg_uda.datasets.endless import EndlessDataset
from mmseg_uda.datasets.folders import check_folders
from mmseg_uda.datasets.mixed_stream import MixedStream
from mmseg_uda.utils.arguments import check_integer, expect

__all__ = ['build_stream', 'image_names']


def build_stream(
    runner: Runner, domain: str, loaders: list[tuple[str, Mapping[str, Any]]]
) -> tuple[MixedStream, dict[str, Any]]:
    """Build the stream of a domain.

    Args:
        runner: The runner, whose hooks may make pseudo labels.
        domain: ``'source'`` or ``'target'``.
        loaders: Place and config of each dataloader, from
            :func:`mmseg_uda.config.domains.domain_loaders`.

    Returns:
        The stream, and the arguments of its ``DataLoader``.

    Raises:
        FileNotFoundError: If an image has no pseudo label or image-level label.
        ValueError: If a dataset cannot be trained on, or dataloaders differ in other arguments.
    """
    where = f'UDATrainLoop.train_dataloader.{domain}'
    expect(len(loaders) > 0, where, 'at least one dataset', list(loaders))
    known = 'a dict, whose dataset may be a ConcatDataset'
    expect(domain == 'source' or len(loaders) == 1, where, known, f'a list of {len(loaders)}')
    streams, ratios, options = [], [], dict[str, Any]()
    for key, given in loaders:
        cfg = copy.deepcopy(dict(given))
        ratios.append(cfg.pop('ratio', 1))
        check_integer(f'UDATrainLoop.{key}.ratio', ratios[-1], 1)
        streams.append(_build_one(runner, domain, key, cfg))
        options = cfg  # of the loader, the same in all
    for place, known, got in unequal_arguments(loaders):
        expect(False, f'UDATrainLoop.{place}', known, got)
    return MixedStream(streams, ratios), options


def _build_one(runner: Runner, domain: str, key: str, cfg: dict[str, Any]) -> EndlessDataset:
    """Build the stream of one dataloader, and take what it is built of out of the config."""
    if cfg.get('sampler') is not None:
        raise ValueError(
            f'UDATrainLoop.{key}.sampler: expected none, but got {cfg["sampler"]}; delete it: the '
            'loop samples by (seed, iteration), so that it can resume'
        )
    dataset, place = cfg.pop('dataset'), f'{key}.dataset'
    if isinstance(dataset, dict):
        check_folders(dataset, place)
        dataset = DATASETS.build(dataset)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    skip_hidden_files(dataset)
    check_dataset(dataset, place)
    if domain == 'target':
        check_unlabelled(dataset, place)
        hooks = any(getattr(hook, 'makes_pseudo_labels', False) for hook in runner.hooks)
        check_pseudo_labels(dataset, made_in_training=hooks)
        check_image_labels(dataset)
    shuffle, skip_broken = cfg.pop('shuffle', True), cfg.pop('skip_broken', 0)
    check_integer(f'UDATrainLoop.{key}.skip_broken', skip_broken, 0)
    sampling = cfg.pop('sampling', None)
    if sampling is not None:
        where = f'UDATrainLoop.{key}'
        known = 'none, because it reads labels'
        expect(domain == 'source', f'{where}.sampling', known, dict(sampling))
        expect(shuffle, f'{where}.shuffle', 'True beside sampling, which has no order', shuffle)
        sampling = DATA_SAMPLERS.build(dict(sampling, dataset=dataset))
    num_images = cfg.pop('num_images', None)
    if num_images is not None:
        where = f'UDATrainLoop.{key}.num_images'
        check_integer(where, num_images, 1)
        enough = num_images <= len(dataset)
        expect(enough, where, f'at most {len(dataset)}, all images', num_images)
        expect(sampling is None, where, 'none beside sampling, which reads all labels', num_images)
    return EndlessDataset(dataset, 0, shuffle, skip_broken, sampling, num_images)


def image_names(stream: EndlessDataset) -> list[str]:
    """List the names of the images in a stream, sorted."""
    paths = (
        stream.dataset.get_data_info(stream.choose(place))['img_path']
        for place in range(len(stream))
    )
    return sorted(osp.basename(path) for path in paths)
