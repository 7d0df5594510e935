"""Base of the loops that run a network once over a set of images."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.dist import get_dist_info, is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch.utils.data import DataLoader

from mmseg_uda.artifacts.lookup import relative_names
from mmseg_uda.datasets.folders import check_folders
from mmseg_uda.utils.errors import error_context
from mmseg_uda.utils.progress import Progress

__all__ = ['TargetImageLoop']


class TargetImageLoop(BaseLoop):
    """Runs over images, divided among the processes, each exactly once and in order.

    Args:
        runner: The runner.
        dataloader: Dataloader, or its config (no sampler needed), of images through a test
            pipeline: no labels, no flip, no crop, and ``test_mode=True``.
        suffix: Suffix of the images' names; None keeps that of the image.

    Raises:
        ValueError: If the dataset is not a test dataset with class names.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | dict[str, Any],
        suffix: str | None = None,
    ) -> None:
        name = type(self).__name__
        self._dataset_cfg = None
        if isinstance(dataloader, dict):
            self._dataset_cfg = dataloader['dataset']
            check_folders(self._dataset_cfg, 'test_dataloader.dataset')
            dataloader = {'sampler': {'type': 'DefaultSampler', 'shuffle': False}, **dataloader}
        super().__init__(runner, dataloader)
        dataset = self.dataloader.dataset
        if getattr(dataset, 'test_mode', True) is not True:
            raise ValueError(
                f'{name}.dataloader.dataset.test_mode: expected True, but got False, which '
                'replaces unreadable images by others; write test_mode=True'
            )
        classes = getattr(dataset, 'metainfo', {}).get('classes')
        if not classes:
            raise ValueError(
                f'{name}.dataloader.dataset: expected a dataset with classes, but got '
                f'{type(dataset).__name__} without; write metainfo=dict(classes=...)'
            )
        self.num_classes = len(classes)
        self._paths = [
            osp.abspath(dataset.get_data_info(index)['img_path']) for index in range(len(dataset))
        ]
        prefix = getattr(dataset, 'data_prefix', {}).get('img_path')
        with error_context(f'{name}.dataloader'):
            self._names = relative_names(self._paths, prefix, suffix)

    def _share(self) -> list[int]:
        """Return the indices of this process's images."""
        rank, world_size = get_dist_info()
        return list(range(len(self._paths)))[rank::world_size]

    def _batches(self, indices: Iterable[int]) -> Iterator[Any]:
        """Load images, as collated test batches."""
        loader = self.dataloader
        yield from DataLoader(
            loader.dataset,
            sampler=indices,
            batch_size=loader.batch_size or 1,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn,
        )

    def _progress(self, total: int, task: str) -> Progress:
        """Show how many of this process's images are done, and log what for."""
        if is_main_process():
            print_log(f'{task} of {len(self._paths)} images', 'current')
        return Progress(total, 'images')
