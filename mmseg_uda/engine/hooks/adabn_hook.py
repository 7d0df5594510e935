"""AdaBN: batch-norm statistics of the target domain.

Li et al., "Revisiting Batch Normalization for Practical Domain Adaptation",
`arXiv:1603.04779 <https://arxiv.org/abs/1603.04779>`_, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor
from torch.utils.data import DataLoader

from mmseg_uda.config.datasets import iter_datasets, unlabelled_images
from mmseg_uda.datasets.checks import build_dataset
from mmseg_uda.engine.batch_norm import batch_norm_layers, reestimate_batch_norm
from mmseg_uda.engine.observe import unwrap_model
from mmseg_uda.utils.arguments import check_integer, expect

__all__ = ['AdaBNHook', 'build_target_loader']

STAGES = ('val', 'test')


def _target_config(cfg: Config) -> dict[str, Any]:
    """Target training images, or else the test's images, through the validation pipeline."""
    test = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if test is None:
        raise ValueError(
            'AdaBNHook.dataset: expected a dataset, because the config has no test_dataloader, but '
            'got None; write either'
        )
    target = (cfg.get('train_dataloader') or {}).get('target') or test
    # The test pipeline may have test-time augmentation, which gives several views of an image.
    _, owner = next(iter_datasets((cfg.get('val_dataloader') or test)['dataset']))
    return unlabelled_images(target['dataset'], owner['pipeline'])


def build_target_loader(
    cfg: Config,
    dataset: dict[str, Any] | None = None,
    num_images: int | None = None,
    batch_size: int = 4,
    num_workers: int = 2,
    seed: int = 0,
) -> DataLoader[Any]:
    """Build a loader of unlabelled target images, in a seeded order, in whole batches.

    Each process gets every N-th batch, so that N processes see the batches of one.

    Args:
        cfg: The run's config. Images are those of ``train_dataloader.target`` (or, in a plain mmseg
            config, of ``test_dataloader``), through the validation pipeline without label loaders.
        dataset: Config of another dataset, which keeps its own pipeline without label loaders.
        num_images: Images over all processes, rounded down to whole batches. Default: all.
        batch_size: Images per batch. With fewer images than this, they are one batch.
        num_workers: Loading processes.
        seed: Seed of the order.

    Raises:
        ValueError: If the config names no dataset, or the dataset is empty.
    """
    config = _target_config(cfg) if dataset is None else unlabelled_images(dataset)
    images = build_dataset(config)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
    order = order[:num_images]
    # With fewer images than one batch holds, they are one batch.
    last_start = max(len(order) - batch_size, 0)
    batches = [order[start : start + batch_size] for start in range(0, last_start + 1, batch_size)]
    rank, world_size = get_dist_info()  # every process computes the same batches
    return DataLoader(
        images,
        batch_sampler=batches[rank::world_size],
        num_workers=num_workers,
        collate_fn=pseudo_collate,
        generator=torch.Generator().manual_seed(seed),
    )


@HOOKS.register_module()
class AdaBNHook(Hook):
    """Validate and test with batch-norm statistics of the target domain.

    The training statistics are restored after the validation or test, before a checkpoint is
    written. A checkpoint therefore always holds the training statistics (``tools/adabn.py`` writes
    an adapted one), and training is the same with and without the hook. With mmengine's
    ``EMAHook`` keep its ``update_buffers=False``.

    Args:
        num_images: Target images to use, over all processes. None for all of them.
        batch_size: Images per batch. A network with a global pooling branch needs at least 2.
        num_workers: Loading processes.
        seed: Seed of the images' order.
        stages: ``'val'``, ``'test'`` or both.
        dataset: Config of the images' dataset. Default: see :func:`build_target_loader`.

    Example:
        Use in a config::

            custom_hooks = [dict(type='AdaBNHook', num_images=200)]
    """

    priority = 'BELOW_NORMAL'  # after EMAHook has put its weights in

    def __init__(
        self,
        num_images: int | None = 200,
        batch_size: int = 4,
        num_workers: int = 2,
        seed: int = 0,
        stages: Sequence[str] = STAGES,
        dataset: dict[str, Any] | None = None,
    ) -> None:
        if num_images is not None:
            check_integer('AdaBNHook.num_images', num_images, 1)
        check_integer('AdaBNHook.batch_size', batch_size, 1)
        check_integer('AdaBNHook.num_workers', num_workers, 0)
        check_integer('AdaBNHook.seed', seed, 0)
        known = not isinstance(stages, str) and set(stages) <= set(STAGES)
        expect(known, 'AdaBNHook.stages', f'a list of {STAGES}', stages)
        self.stages = tuple(stages)
        self._loader_args: dict[str, Any] = {
            'dataset': dataset,
            'num_images': num_images,
            'batch_size': batch_size,
            'num_workers': num_workers,
            'seed': seed,
        }
        self._loader: DataLoader[Any] | None = None
        self._before: list[tuple[Tensor, Tensor]] = []  # buffer, its value in training

    def _adapt(self, runner: Runner, stage: str) -> None:
        if stage not in self.stages:
            return
        if self._loader is None:  # built once: validation repeats
            self._loader = build_target_loader(runner.cfg, **self._loader_args)
        model = unwrap_model(runner.model)
        buffers = [buffer for _, layer in batch_norm_layers(model) for buffer in layer.buffers()]
        # Copies, because the layers keep their buffers.
        self._before = [(buffer, buffer.clone()) for buffer in buffers]
        count = reestimate_batch_norm(model, self._loader)
        runner.logger.info(f'AdaBN: batch-norm statistics of {count} target images.')

    def _restore(self) -> None:
        for buffer, value in self._before:
            buffer.copy_(value)
        self._before = []

    def before_val_epoch(self, runner: Runner) -> None:
        """Adapt the statistics."""
        self._adapt(runner, 'val')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Restore the training statistics."""
        self._restore()

    def before_test_epoch(self, runner: Runner) -> None:
        """Adapt the statistics."""
        self._adapt(runner, 'test')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Restore the checkpoint's statistics."""
        self._restore()
