"""Small images with the shares of their classes, and their features, kept on disk."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmseg_uda.artifacts.digest import sha256
from mmseg_uda.artifacts.files import write_npz
from mmseg_uda.config.datasets import map_datasets, only_steps
from mmseg_uda.config.domains import domain_dataset
from mmseg_uda.datasets.checks import check_dataset, unwrap
from mmseg_uda.datasets.folders import check_folders
from mmseg_uda.models.decode_heads import class_shares
from mmseg_uda.stages.image_labels.features import FeatureNet
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.progress import Progress

__all__ = ['DomainImages', 'extract_features']

SHARD = 256


class DomainImages(Dataset[Any]):
    """The training images of a domain, without augmentation.

    Args:
        cfg: Config of a method.
        domain: ``'source'`` or ``'target'``.
        labels: Whether to read label files, in full size, and give the shares of the classes.
        size: Width and height of the images given; None for no image at all.

    Raises:
        ValueError: The dataset is wrong or has no labels.
    """

    def __init__(
        self, cfg: Config, domain: str, labels: bool, size: tuple[int, int] | None = None
    ) -> None:
        init_default_scope('mmseg')
        self.key = f'train_dataloader.{domain}.dataset'
        dataset = domain_dataset(cfg.get('train_dataloader'), domain)
        if dataset is None:
            raise ValueError(
                f'train_image_labels: the config has no train_dataloader.{domain}; write one'
            )
        check_folders(dataset, self.key)
        self.size = size
        self.labels = labels
        self.dataset = DATASETS.build(map_datasets(dataset, self._load_only, unwrap=True))
        self.classes = check_dataset(self.dataset, self.key)
        self.num_classes = len(self.classes)
        infos = [self.dataset.get_data_info(index) for index in range(len(self.dataset))]
        self.paths = [info['img_path'] for info in infos]
        self.label_paths = [info.get('seg_map_path') for info in infos] if labels else []
        roots = {inner.data_prefix.get('img_path') for inner in unwrap(self.dataset)}
        self.root = roots.pop() if len(roots) == 1 else None
        if not all(self.label_paths):
            raise ValueError(
                f'train_image_labels: {self.key} lists no labels; write data_prefix.seg_map_path'
            )

    def _load_only(self, dataset: dict[str, Any]) -> dict[str, Any]:
        """Keep the pipeline's own loaders of images and of labels, or take the stock ones."""
        steps = []
        for cls, wanted in ((LoadImageFromFile, self.size), (LoadAnnotations, self.labels)):
            own = only_steps(dataset.get('pipeline') or (), cls)
            steps += (own[:1] or [dict(type=cls.__name__)]) if wanted else []
        return {**dataset, 'pipeline': steps, 'test_mode': True}

    def digest(self) -> str:
        """Compute the SHA-256 of the files' names and sizes."""
        labels = self.label_paths or [''] * len(self)
        files = (path for pair in zip(self.paths, labels) for path in pair)
        return sha256(
            f'{osp.basename(path)} {(path and osp.getsize(path)) or 0}\n' for path in files
        )

    def batches(
        self, rows: Sequence[int] | None = None, batch_size: int = 8, num_workers: int = 0
    ) -> DataLoader[Any]:
        """Make a loader of some or all of the images, in order."""
        subset = torch.utils.data.Subset(self, range(len(self)) if rows is None else rows)
        return DataLoader(subset, batch_size=batch_size, num_workers=num_workers)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Give ``image``, BGR (3, h, w) uint8, and ``shares``, (C, ), as asked for."""
        results, found = self.dataset[index], {}
        if self.size is not None:
            image = results['img']
            image = mmcv.imresize(image, self.size, interpolation='bicubic', backend='pillow')
            found['image'] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        if self.labels:
            label = torch.from_numpy(results['gt_seg_map'].astype(np.int64))[None]
            outside = label[(label >= self.num_classes) & (label != IGNORE_INDEX)]
            if outside.numel():
                raise ValueError(
                    f'train_image_labels: {self.label_paths[index]} has the value '
                    f'{int(outside[0])}; convert labels to train ids with '
                    'tools/dataset_converters'
                )
            found['shares'] = class_shares(label, self.num_classes, IGNORE_INDEX)[0]
        return found


def extract_features(
    net: FeatureNet,
    images: DomainImages,
    directory: Path,
    key: str,
    batch_size: int = 8,
    num_workers: int = 0,
) -> tuple[Tensor, Tensor]:
    """Extract the features of all images, and their shares.

    They are kept in files of 256 images each, so that a stopped run goes on with the next file.

    Args:
        net: On the device that computes.
        images: With ``size``.
        directory: Directory of the files.
        key: Begin of the files' names; another for anything that gives other features.
        batch_size: Images in one pass.
        num_workers: Processes that read images.

    Returns:
        Features (M, D) and shares (M, C), float32; shares are (M, 0) without labels.
    """
    progress = Progress(len(images), 'images')
    parts = []
    for start in range(0, len(images), SHARD):
        path = directory / f'{key}_{start:06d}.npz'
        rows = range(start, min(start + SHARD, len(images)))
        if path.is_file():
            progress.skip(len(rows))
        else:
            _write_shard(net, images.batches(rows, batch_size, num_workers), path, progress)
        with np.load(path, allow_pickle=False) as arrays:
            parts.append([torch.from_numpy(arrays[name]) for name in ('features', 'shares')])
    progress.close()
    features, shares = (torch.cat(each) for each in zip(*parts))
    return features, shares


def _write_shard(net: FeatureNet, batches: DataLoader[Any], path: Path, progress: Progress) -> None:
    features, shares = [], []
    for batch in batches:
        features.append(net(batch['image'].to(net.mean.device)).cpu())  # (N, D)
        shares.append(batch.get('shares', torch.zeros(len(batch['image']), 0)))  # (N, C)
        progress.update(len(batch['image']))
    if not torch.cat(features).isfinite().all():
        raise ValueError('train_image_labels: the network gives NaN or infinity; check its weights')
    write_npz(path, features=torch.cat(features).numpy(), shares=torch.cat(shares).numpy())
