"""The loop that writes pseudo labels."""

from __future__ import annotations

import logging
import os
import os.path as osp
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, barrier, broadcast_object_list, get_dist_info
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from mmengine.utils import ProgressBar
from mmseg.registry import LOOPS
from torch import Tensor
from torch.utils.data import DataLoader

from mmseg_uda.artifacts.digests import checkpoint_digest, config_digest
from mmseg_uda.artifacts.label_files import read_counts, write_label
from mmseg_uda.artifacts.pseudo_labels import MANIFEST_NAME, Manifest, label_names
from mmseg_uda.datasets.checks import check_folders
from mmseg_uda.engine.observe import preserve_state
from mmseg_uda.pseudo_labels.inference import segment_probabilities
from mmseg_uda.pseudo_labels.rules import build_rule
from mmseg_uda.pseudo_labels.statistics import ConfidencePools
from mmseg_uda.version import __version__

__all__ = ['PseudoLabelLoop']

# What one segmented image is: its label's name, and its probabilities (C, H, W).
Segmented = tuple[str, Tensor]


@LOOPS.register_module()
class PseudoLabelLoop(BaseLoop):
    """Labels a set of images with a network's confident predictions.

    A first pass over the images finds one threshold per class, a second one writes a PNG of train
    ids (255: not kept) per image, at the size at which the network saw the image; ``manifest.json``
    comes last. Images are dealt out to all processes, each exactly once and in order, whatever
    sampler the dataloader has. The result does not depend on the number of processes. Run again,
    it goes on where it was stopped, and does nothing if all is there.

    Takes the place of ``test_cfg``; mmengine's test hooks are not called.

    Args:
        runner: The runner.
        dataloader: Dataloader, or its config (no sampler needed), of the target's training images
            through a test pipeline: no labels, no flip, no crop, and ``test_mode=True``.
        out_dir: Folder to write to.
        rule: Name of a rule (``bdl``, ``cbst``, ``global``, ``fixed``), or ``dict(type=name)`` with
            its arguments, see :mod:`mmseg_uda.pseudo_labels.rules`.
        overwrite: Replace labels that another network, rule or data set made.
        softmax_first: Whether to take the softmax before (True) or after upsampling the logits;
            None does as the rule's paper does.
        budget: Confidences that each class keeps exactly before it goes over to a histogram.
        bins: Bins of that histogram; thresholds are then too low by less than 1 / bins.
        evaluator: Not used; mmengine passes it to every test loop.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | dict[str, Any],
        out_dir: str,
        rule: str | Mapping[str, Any] = 'bdl',
        overwrite: bool = False,
        softmax_first: bool | None = None,
        budget: int = 2**20,
        bins: int = 2**14,
        evaluator: Any = None,
    ) -> None:
        self.rule = build_rule(rule)
        self.softmax_first = self.rule.softmax_first if softmax_first is None else softmax_first
        self.budget = budget
        self.bins = bins
        if not isinstance(out_dir, str) or not out_dir:
            raise TypeError(f'PseudoLabelLoop.out_dir got {out_dir!r}; write a folder instead')
        if osp.exists(out_dir) and not osp.isdir(out_dir):
            raise ValueError(
                f'PseudoLabelLoop.out_dir got the file {out_dir!r}; write a folder instead'
            )
        self.out_dir = out_dir
        self.overwrite = overwrite
        self._dataset_cfg = None
        if isinstance(dataloader, dict):
            self._dataset_cfg = dataloader['dataset']
            check_folders(self._dataset_cfg, 'test_dataloader.dataset')
            dataloader = {'sampler': {'type': 'DefaultSampler', 'shuffle': False}, **dataloader}
        super().__init__(runner, dataloader)
        dataset = self.dataloader.dataset
        if getattr(dataset, 'test_mode', True) is not True:
            raise ValueError(
                'PseudoLabelLoop.dataloader.dataset.test_mode got False, which '
                'replaces unreadable images; write test_mode=True instead'
            )
        classes = getattr(dataset, 'metainfo', {}).get('classes')
        if not classes:
            raise ValueError(
                f'PseudoLabelLoop.dataloader.dataset got {type(dataset).__name__} '
                'without classes; write metainfo=dict(classes=...) instead'
            )
        self.num_classes = len(classes)
        self._paths = [
            osp.abspath(dataset.get_data_info(index)['img_path']) for index in range(len(dataset))
        ]
        prefix = getattr(dataset, 'data_prefix', {}).get('img_path')
        self._names = label_names(self._paths, prefix)

    def run(self) -> dict[str, Any]:
        """Write the labels.

        Returns:
            The manifest's thresholds and coverage.
        """
        manifest, resumed = self._open()
        if manifest.complete:
            print_log(
                f'All {len(manifest.files)} pseudo labels are in {self.out_dir} already',
                logger='current',
            )
        else:
            with preserve_state(self.runner.model):
                if manifest.thresholds is None:
                    manifest.thresholds = self._find_thresholds()
                    self._save(manifest)
                counts = self._write_labels(manifest, resumed)
            manifest.predicted_pixels, manifest.kept_pixels = counts.tolist()
            manifest.complete = True
            self._save(manifest)
            self._report(manifest)
        return {'thresholds': manifest.thresholds, 'coverage': manifest.coverage}

    def _open(self) -> tuple[Manifest, bool]:
        """The manifest to go on with, and whether files of an earlier run count.

        Only the first process looks at the folder; the others are told.
        """
        outcome: list[Any] = [None]
        if get_dist_info()[0] == 0:
            try:
                outcome[0] = self._look_up()
            except (OSError, ValueError) as error:
                outcome[0] = error
        broadcast_object_list(outcome)
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def new_manifest(self) -> Manifest:
        """What the manifest says before anything is labelled."""
        return Manifest(
            rule={**self.rule.describe(), 'softmax_first': self.softmax_first},
            num_classes=self.num_classes,
            config_sha256=config_digest(self.runner.cfg.get('model'), self._dataset_cfg),
            checkpoint_sha256=self._weights_digest(),
            files=self._names,
            package_version=__version__,
        )

    def _weights_digest(self) -> str:
        return checkpoint_digest(self.runner._load_from, self.runner.model)

    def _look_up(self) -> tuple[Manifest, bool]:
        new = self.new_manifest()
        path = osp.join(self.out_dir, MANIFEST_NAME)
        if self.overwrite:
            self._clear(path)
        elif osp.isfile(path):
            old = Manifest.read(self.out_dir)
            differences = new.differences(old)
            if differences:
                raise ValueError(
                    f'PseudoLabelLoop.out_dir got {self.out_dir!r}, whose labels were made with '
                    f'another {", ".join(differences)}; write another folder or overwrite=True '
                    '(--overwrite) instead'
                )
            files = (osp.join(self.out_dir, name) for name in self._names)
            old.complete = old.complete and all(map(osp.isfile, files))
            return old, True
        else:
            self._refuse_strangers()
        return new, False

    def _refuse_strangers(self) -> None:
        for name in self._names:
            if osp.exists(osp.join(self.out_dir, name)):
                raise ValueError(
                    f'PseudoLabelLoop.out_dir got {self.out_dir!r}, which has the file {name!r} '
                    f'but no {MANIFEST_NAME}; write another folder or overwrite=True '
                    '(--overwrite) instead'
                )

    def _clear(self, manifest_path: str) -> None:
        """Remove the manifest first: without it nobody trains on a mixture."""
        for path in [manifest_path, *(osp.join(self.out_dir, name) for name in self._names)]:
            if osp.isfile(path):
                os.remove(path)

    def _find_thresholds(self) -> list[float]:
        pools = ConfidencePools(self.rule.num_pools(self.num_classes), self.budget, self.bins)
        if pools.num_pools:
            for _, probabilities in self._segment(self._share(), 'thresholds'):
                self.rule.collect(pools, probabilities)
            pools.synchronize()
        return self.rule.thresholds(pools, self.num_classes)

    def _write_labels(self, manifest: Manifest, resumed: bool) -> Tensor:
        """Second pass.

        Returns:
            Predicted and kept pixels of each class over the whole set, shape (2, C).
        """
        total = np.zeros((2, self.num_classes), dtype=np.int64)
        todo = []
        for index in self._share():
            path = osp.join(self.out_dir, self._names[index])
            counts = read_counts(path, self.num_classes) if resumed else None
            if counts is None:
                todo.append(index)
            else:
                total += counts
        thresholds: Tensor | None = None
        for name, probabilities in self._segment(todo, 'labels'):
            if thresholds is None:
                thresholds = probabilities.new_tensor(manifest.thresholds)
            predicted = (
                torch.bincount(probabilities.argmax(0).flatten(), minlength=self.num_classes)
                .cpu()
                .numpy()
            )
            label = self.rule.select(probabilities, thresholds).byte().cpu().numpy()
            write_label(osp.join(self.out_dir, name), label, predicted.tolist())
            kept = np.bincount(label.ravel(), minlength=256)[: self.num_classes]
            total += np.stack([predicted, kept])
        summed = torch.from_numpy(total)
        all_reduce(summed)
        return summed

    def _share(self) -> list[int]:
        """Indices of this process's images."""
        rank, world_size = get_dist_info()
        return list(range(len(self._paths)))[rank::world_size]

    def _segment(self, indices: list[int], task: str) -> Iterator[Segmented]:
        """Run the network over images, with a progress bar in the first process."""
        if not indices:
            return
        name_of = dict(zip(self._paths, self._names))
        bar = self._progress(len(indices), task)
        for data in self._loader(indices):
            images, samples = segment_probabilities(self.runner.model, data, self.softmax_first)
            for probabilities, sample in zip(images, samples):
                self._check(sample.metainfo, probabilities)
                yield name_of[osp.abspath(sample.img_path)], probabilities
                if bar is not None:
                    bar.update()
        if bar is not None:
            bar.file.write('\n')

    def _loader(self, indices: Iterable[int]) -> DataLoader[Any]:
        loader = self.dataloader
        return DataLoader(
            loader.dataset,
            sampler=indices,
            batch_size=loader.batch_size or 1,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn,
        )

    def _progress(self, total: int, task: str) -> ProgressBar | None:
        if get_dist_info()[0] != 0:
            return None
        print_log(f'Pseudo labels: {task} of {len(self._paths)} images', logger='current')
        return ProgressBar(total)

    def _check(self, meta: dict[str, Any], probabilities: Tensor) -> None:
        if meta.get('flip'):
            raise ValueError(
                'PseudoLabelLoop.dataloader got a flipped image; write a test '
                'pipeline without RandomFlip instead'
            )
        if len(probabilities) != self.num_classes:
            raise ValueError(
                f'PseudoLabelLoop.dataloader.dataset has {self.num_classes} classes, but the '
                f'network predicts {len(probabilities)}; write the same classes for both'
            )

    def _save(self, manifest: Manifest) -> None:
        """Write the manifest when every process has done its part."""
        barrier()
        if get_dist_info()[0] == 0:
            os.makedirs(self.out_dir, exist_ok=True)
            manifest.write(self.out_dir)
        barrier()

    def _report(self, manifest: Manifest) -> None:
        kept, predicted = sum(manifest.kept_pixels), sum(manifest.predicted_pixels)
        print_log(
            f'{len(manifest.files)} pseudo labels in {self.out_dir}: '
            f'{100 * kept / predicted:.1f} % of the pixels kept',
            logger='current',
        )
        if not kept:
            print_log(
                'No pixel was kept: lower the threshold or raise the share',
                logger='current',
                level=logging.WARNING,
            )
