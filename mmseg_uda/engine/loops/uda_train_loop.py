"""The training loop over two domains."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from itertools import combinations, islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from mmseg_uda.config.domains import domain_loaders
from mmseg_uda.datasets.checks import check_dataset, check_same_classes, cropped_image_labels
from mmseg_uda.datasets.endless import EndlessDataset, PositionSampler, derive_seed
from mmseg_uda.datasets.folders import check_folders
from mmseg_uda.datasets.images import left_out_images, shared_images
from mmseg_uda.datasets.label_values import check_label_values
from mmseg_uda.engine.loops.broken_samples import BrokenSamples
from mmseg_uda.engine.loops.domain_streams import build_stream, image_names
from mmseg_uda.engine.observe import unwrap_model
from mmseg_uda.structures import DOMAINS, IGNORE_INDEX
from mmseg_uda.utils.arguments import check_integer
from mmseg_uda.utils.processes import end_workers, on_main

__all__ = ['UDATrainLoop']


class _UnreadBatch(Mapping[str, Any]):
    """The collated batch of a domain that the method does not train on.

    The images are read in this process when somebody, usually a hook, first looks at them. They
    and their augmentation are those that a loader would give, and no random state changes.

    Args:
        loader: The domain's dataloader, its sampler at the batch's first position.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._positions = list(islice(loader.sampler, loader.batch_size))

    @cached_property
    def _batch(self) -> Any:
        samples = [self._loader.dataset[position] for position in self._positions]
        return self._loader.collate_fn(samples)

    def __getitem__(self, key: str) -> Any:
        return self._batch[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch)

    def __len__(self) -> int:
        return len(self._batch)


class _DomainIterator:
    """Zips the endless loaders of both domains, starting at a given iteration.

    The stock loop skips the iterations that a resumed run has behind it by as many calls of
    ``next``: the first ``start`` calls return None and read nothing.

    Args:
        loaders: One dataloader per domain.
        used: Domains to train on; batches of the others stay unread until somebody looks at them.
        start: The first iteration.
    """

    def __init__(self, loaders: dict[str, Any], used: Collection[str], start: int) -> None:
        self._loaders = loaders
        self._used = used
        self._iterators: dict[str, Iterator[Any]] = {}
        self._iteration = start
        self._to_skip = start

    def skip_iter(self, num_iters: int) -> None:
        """Skip iterations at once, as newer versions of mmengine ask for."""
        self._to_skip = max(0, self._to_skip - num_iters)

    def close(self, domain: str) -> None:
        """Drop what a domain's workers have fetched; the next call opens its loader anew."""
        self._iterators.pop(domain, None)

    def __next__(self) -> dict[str, Any] | None:
        if self._to_skip:
            self._to_skip -= 1
            return None
        batches = {domain: self._next(domain) for domain in self._loaders}
        self._iteration += 1
        return batches

    def _next(self, domain: str) -> Any:
        loader = self._loaders[domain]
        if domain not in self._iterators:
            loader.sampler.start = self._iteration * loader.batch_size * loader.sampler.world_size
            if domain not in self._used:
                return _UnreadBatch(loader)
            self._iterators[domain] = iter(loader)
        return next(self._iterators[domain])


@LOOPS.register_module()
class UDATrainLoop(IterBasedTrainLoop):
    """Trains on a labelled source domain and an unlabelled target domain.

    Every random choice for an image follows from ``(seed, position)``: which image it is, its
    augmentation, and what a method draws for it (see :class:`EndlessDataset`). N processes
    therefore train as one process with an N times larger batch. A layer that draws for itself, such
    as dropout, does so by ``(seed, iteration, rank)``. A resumed run continues bit by bit as if it
    had not stopped, without reading the data that came before.

    The batch of a domain that is not among the method's ``domains`` (the target of ``SourceOnly``)
    is read only where a hook looks at it, and by no worker.

    Args:
        runner: The runner.
        dataloader: ``dict(source=dict(batch_size=..., dataset=..., num_workers=...),
            target=dict(...))``. No sampler: the loop has its own. ``skip_broken=N`` of a domain
            lets other samples take the place of up to N samples whose files are damaged (0).
            ``sampling=dict(type='RareClassSampling', ...)`` of the source draws its images.
            ``source`` may be a list of several sources, each with its share ``ratio=1`` of the
            images, an integer (see :class:`MixedStream`), and the same ``batch_size``.
            ``num_images=N`` of a source takes N of its images, chosen by the seed and logged.
        max_iters: Iterations to train.
        kwargs: As for :class:`mmengine.runner.IterBasedTrainLoop`.

    Raises:
        FileNotFoundError: If an image has no pseudo label or image-level label.
        ValueError: If a dataset cannot be trained on, or the datasets or the network differ in
            their classes.
        OSError: In training, if more samples are damaged than may be skipped.
    """

    takes_domains = True
    """Batches are ``dict(source=..., target=...)``, which stock models do not take."""

    def __init__(
        self, runner: Runner, dataloader: dict[str, Any], max_iters: int, **kwargs: Any
    ) -> None:
        check_integer('UDATrainLoop.max_iters', max_iters, 1)
        if not isinstance(dataloader, dict) or set(dataloader) != set(DOMAINS):
            got = sorted(dataloader) if isinstance(dataloader, dict) else type(dataloader).__name__
            raise ValueError(
                f'UDATrainLoop.train_dataloader: expected the keys source and target, but got {got}'
                '; write dict(source=dict(...), target=dict(...))'
            )
        self._options: dict[str, dict[str, Any]] = {}
        # Names of each domain's streams in messages: `source`, or `source.0` of several.
        self._names: dict[str, list[str]] = {}
        self.dataloaders = {
            domain: self._build(runner, domain, domain_loaders(dataloader, domain))
            for domain in DOMAINS
        }
        sources, (target,) = (self.dataloaders[each].dataset.datasets for each in DOMAINS)
        for stream in sources:
            check_same_classes(stream.dataset, target.dataset)
        self._check_num_classes(runner, target.dataset)
        validation = (runner.cfg.get('val_dataloader') or {}).get('dataset')
        validated = (runner.cfg.get('val_cfg') or {}).get('validate_target', True)
        if isinstance(validation, dict) and validated:  # built later, and stock errors are vague
            check_folders(validation, 'val_dataloader.dataset')
        # Older mmengine iterates at once; its workers would not know the seed that `run` sets.
        idle = DataLoader(self.dataloaders['source'].dataset, generator=torch.Generator())
        super().__init__(runner, idle, max_iters, **kwargs)
        # Hooks read the length and the classes of `loop.dataloader`, so it must be a real one.
        self.dataloader = self.dataloaders['source']

    def _build(
        self, runner: Runner, domain: str, loaders: list[tuple[str, Mapping[str, Any]]]
    ) -> Any:
        self._names[domain] = [place.removeprefix('train_dataloader.') for place, _ in loaders]
        stream, self._options[domain] = build_stream(runner, domain, loaders)
        sampler = PositionSampler(len(stream))
        return runner.build_dataloader(dict(self._options[domain], dataset=stream, sampler=sampler))

    def reopen(self, domain: str) -> None:
        """Let the domain's next batch reflect changes that were made to its dataset.

        Workers hold a copy of the dataset and have fetched samples in advance, so they are
        replaced. The stream continues at the same position.
        """
        old = self.dataloaders[domain]
        # A new loader, because the old one may keep its workers (`persistent_workers`).
        self.dataloaders[domain] = self.runner.build_dataloader(
            dict(self._options[domain], dataset=old.dataset, sampler=old.sampler)
        )
        self.dataloader = self.dataloaders['source']
        self.dataloader_iterator.close(domain)

    @staticmethod
    def _check_num_classes(runner: Runner, dataset: Any) -> None:
        classes = dataset.metainfo.get('classes')
        predicted = getattr(unwrap_model(runner.model), 'num_classes', None)
        if classes is not None and predicted is not None and len(classes) != predicted:
            raise ValueError(
                'UDATrainLoop: expected model.segmentor.decode_head.num_classes='
                f'{len(classes)}, as {type(dataset).__name__} has {len(classes)} classes, but got '
                f'{predicted}; write {len(classes)}'
            )

    def run(self) -> torch.nn.Module:
        """Train from the current iteration on.

        Raises:
            ValueError: The validation dataset is unsound, or labels have values of no class.
        """
        # Only now is the seed final (resuming may have changed it) and the iteration known. All
        # processes share one seed, even where `randomness.diff_rank_seed` gave each its own.
        seeds = [self.runner.seed]
        broadcast_object_list(seeds)
        (self._seed,) = seeds
        for stream, loader in enumerate(self.dataloaders.values()):
            # With one seed for both, image i of one domain would always meet image i of the other.
            loader.dataset.reseed(self._seed, stream)
        validation = self.runner.val_loop
        if validation is not None:  # built after this loop
            check_dataset(validation.dataloader.dataset, 'val_dataloader.dataset')
        on_main(self._report_data)  # the data of all processes are the same
        limits = {name: stream.skip_broken for name, stream in self._streams()}
        self._broken = BrokenSamples(self._names, limits)
        used = getattr(unwrap_model(self.runner.model), 'domains', DOMAINS)
        self.dataloader_iterator = _DomainIterator(self.dataloaders, used, self._iter)
        self.fast_forward_on_resume = False  # skipped iterations read nothing here, see above
        try:
            return super().run()
        finally:
            del self.dataloader_iterator
            for loader in self.dataloaders.values():
                end_workers(loader)

    def _streams(self) -> Iterator[tuple[str, EndlessDataset]]:
        """Give each stream of each domain by its name."""
        for domain, names in self._names.items():
            yield from zip(names, self.dataloaders[domain].dataset.datasets)

    def _report_data(self) -> None:
        """Log the numbers of images, and warn of data that look like a mistake."""
        trained = {name: stream.dataset for name, stream in self._streams()}
        counts = (f'{name} {len(stream)} images' for name, stream in self._streams())
        self.runner.logger.info(f'UDATrainLoop: {", ".join(counts)}')
        datasets = {f'train_dataloader.{key}.dataset': each for key, each in trained.items()}
        head = getattr(unwrap_model(self.runner.model), 'decode_head', None)
        ignore_index = getattr(head, 'ignore_index', IGNORE_INDEX)
        warnings = [check_label_values(each, key, ignore_index) for key, each in datasets.items()]
        for name, stream in self._streams():
            if stream.num_images is not None:
                chosen = ', '.join(image_names(stream))
                self.runner.logger.info(f'UDATrainLoop: the images of {name} are {chosen}')
            if stream.sampling is not None:
                drawn, few = stream.sampling.describe()
                self.runner.logger.info(drawn)
                warnings += few
        if self.runner.val_loop is not None:
            datasets['val_dataloader.dataset'] = self.runner.val_loop.dataloader.dataset
        warnings += [text for key in datasets for text in left_out_images(datasets[key], key)]
        warnings += [cropped_image_labels(dataset, key) for key, dataset in datasets.items()]
        for (key, dataset), (other_key, other) in combinations(datasets.items(), 2):
            warnings.append(shared_images(dataset, key, other, other_key))
        for warning in filter(None, warnings):
            self.runner.logger.warning(f'UDATrainLoop: {warning}')

    def run_iter(self, data_batch: dict[str, Any]) -> None:
        """Run one iteration, all global random generators seeded for it and this process alone."""
        self._broken.count(self.runner, data_batch)
        seed = derive_seed(self._seed, self._iter, get_rank())
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        super().run_iter(data_batch)
