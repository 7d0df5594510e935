"""The training loop over two domains."""

from __future__ import annotations

import copy
import random
from typing import Any, Iterator

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.registry import DATASETS
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from mmseg_uda.datasets.checks import (
    check_dataset,
    check_folders,
    check_image_labels,
    check_pseudo_labels,
    check_same_classes,
    check_unlabelled,
)
from mmseg_uda.datasets.endless import EndlessDataset, PositionSampler, derive_seed
from mmseg_uda.structures import DOMAINS

__all__ = ['UDATrainLoop']


class _DomainIterator:
    """Zips the endless loaders of both domains, starting at a given iteration.

    The first ``start`` calls of ``next`` give nothing: that is how the stock loop skips the
    iterations that a resumed run has behind it, and here they cost nothing.
    """

    def __init__(self, loaders: dict[str, Any], start: int) -> None:
        self._loaders = loaders
        self._iterators: dict[str, Iterator[Any]] = {}
        self._iteration = start
        self._to_skip = start

    def skip_iter(self, num_iters: int) -> None:
        """Newer mmengine's way of skipping."""
        self._to_skip = max(0, self._to_skip - num_iters)

    def close(self, domain: str) -> None:
        """Forget what a domain's workers have fetched; the next call opens its loader anew."""
        self._iterators.pop(domain, None)

    def __next__(self) -> dict[str, Any] | None:
        if self._to_skip:
            self._to_skip -= 1
            return None
        for domain, loader in self._loaders.items():
            if domain not in self._iterators:
                batch_size = loader.batch_size * loader.sampler.world_size
                loader.sampler.start = self._iteration * batch_size
                self._iterators[domain] = iter(loader)
        self._iteration += 1
        return {domain: next(iterator) for domain, iterator in self._iterators.items()}


@LOOPS.register_module()
class UDATrainLoop(IterBasedTrainLoop):
    """Iterates over a labelled source and an unlabelled target domain.

    Every random choice follows from ``(seed, iteration)``: the images of a batch, their
    augmentation, and whatever the model draws (both random generators are seeded at the start of
    each iteration). A resumed run therefore continues as if it had not stopped, without reading
    the data that came before, and N processes see the images of one with an N times larger batch.

    Args:
        runner: The runner.
        dataloader: ``dict(source=dict(batch_size=..., dataset=..., num_workers=...),
            target=dict(...))``. No sampler: the loop has its own.
        max_iters: Iterations to train.
        kwargs: As for :class:`mmengine.runner.IterBasedTrainLoop`.
    """

    def __init__(
        self, runner: Runner, dataloader: dict[str, dict[str, Any]], max_iters: int, **kwargs: Any
    ) -> None:
        if not isinstance(dataloader, dict) or set(dataloader) != set(DOMAINS):
            got = sorted(dataloader) if isinstance(dataloader, dict) else type(dataloader).__name__
            raise ValueError(
                f'UDATrainLoop.train_dataloader got {got}; write dict(source=dict(...)'
                ', target=dict(...))'
            )
        self._options: dict[str, dict[str, Any]] = {}
        self.dataloaders = {
            domain: self._build(runner, domain, dataloader[domain]) for domain in DOMAINS
        }
        datasets = {domain: loader.dataset.dataset for domain, loader in self.dataloaders.items()}
        check_same_classes(datasets['source'], datasets['target'])
        self._check_num_classes(runner, datasets['source'])
        validation = (runner.cfg.get('val_dataloader') or {}).get('dataset')
        looks = (runner.cfg.get('val_cfg') or {}).get('validate_target', True)
        if isinstance(validation, dict) and looks:  # built later, and stock errors are vague
            check_folders(validation, 'val_dataloader.dataset')
        # Older mmengine starts to iterate at once: workers would not know the seed of `run`.
        idle = DataLoader(self.dataloaders['source'].dataset, generator=torch.Generator())
        super().__init__(runner, idle, max_iters, **kwargs)
        # Hooks look at the length and the classes of `loop.dataloader`: a real one, the source's.
        self.dataloader = self.dataloaders['source']

    def _build(self, runner: Runner, domain: str, cfg: dict[str, Any]) -> Any:
        cfg = copy.deepcopy(dict(cfg))
        if cfg.get('sampler') is not None:
            raise ValueError(
                f'UDATrainLoop.train_dataloader.{domain}.sampler got '
                f'{cfg["sampler"]}; remove it: the loop samples by (seed, iteration), '
                'so that it can resume'
            )
        dataset, key = cfg.pop('dataset'), f'train_dataloader.{domain}.dataset'
        if isinstance(dataset, dict):
            check_folders(dataset, key)
            dataset = DATASETS.build(dataset)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
        check_dataset(dataset, key)
        if domain == 'target':
            check_unlabelled(dataset, key)
            hooks = any(getattr(hook, 'makes_pseudo_labels', False) for hook in runner.hooks)
            check_pseudo_labels(dataset, made_in_training=hooks)
            check_image_labels(dataset)
        stream = EndlessDataset(dataset, seed=0, shuffle=cfg.pop('shuffle', True))
        sampler = PositionSampler(len(stream))
        self._options[domain] = cfg
        return runner.build_dataloader(dict(cfg, dataset=stream, sampler=sampler))

    def reopen(self, domain: str) -> None:
        """Let the domain's next batch see changes that were made to its data set.

        Workers hold a copy of the data set and have fetched samples in advance; they are replaced.
        The stream goes on at the same position, and nothing else changes.
        """
        old = self.dataloaders[domain]
        # A new loader, as an old one may keep its workers (`persistent_workers`).
        self.dataloaders[domain] = self.runner.build_dataloader(
            dict(self._options[domain], dataset=old.dataset, sampler=old.sampler)
        )
        self.dataloader = self.dataloaders['source']
        self.dataloader_iterator.close(domain)

    @staticmethod
    def _check_num_classes(runner: Runner, dataset: Any) -> None:
        model = getattr(runner.model, 'module', runner.model)
        classes = dataset.metainfo.get('classes')
        predicted = getattr(model, 'num_classes', None)
        if classes is not None and predicted is not None and len(classes) != predicted:
            raise ValueError(
                f'UDATrainLoop: {type(dataset).__name__} has {len(classes)} classes, but '
                f'model.segmentor.decode_head.num_classes is {predicted}; set it to {len(classes)}'
            )

    def run(self) -> torch.nn.Module:
        """Train from the current iteration on."""
        # Only now is the seed final (resuming may have changed it), and the iteration known. All
        # processes share one, also where `randomness.diff_rank_seed` gave each its own.
        seeds = [self.runner.seed]
        broadcast_object_list(seeds)
        (self._seed,) = seeds
        for stream, loader in enumerate(self.dataloaders.values()):
            # Different streams: else image i of one domain always meets image i of the other.
            loader.dataset.seed = derive_seed(self._seed, stream)
        self.dataloader_iterator = _DomainIterator(self.dataloaders, self._iter)
        self.fast_forward_on_resume = False  # newer mmengine's way to save what costs nothing here
        try:
            return super().run()
        finally:
            del self.dataloader_iterator  # ends the workers now, not when the runner is collected

    def run_iter(self, data_batch: dict[str, Any]) -> None:
        """Run one iteration with its own random numbers."""
        seed = derive_seed(self._seed, self._iter, get_rank())
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        super().run_iter(data_batch)
