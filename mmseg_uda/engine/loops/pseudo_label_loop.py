"""The loop that writes the pseudo labels of a set of images."""

from __future__ import annotations

import logging
import os.path as osp
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, barrier
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import LOOPS
from torch import Tensor
from torch.utils.data import DataLoader

from mmseg_uda.artifacts.digest import digest_config, digest_path, digest_weights
from mmseg_uda.artifacts.files import MANIFEST_NAME
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.artifacts.pseudo_labels import (
    LABEL_SUFFIX,
    SOFT_SUFFIX,
    Manifest,
    read_counts,
    write_label,
    write_soft_label,
)
from mmseg_uda.artifacts.recipe import raise_differences
from mmseg_uda.config.reads import read_paths
from mmseg_uda.engine.loops.target_image_loop import TargetImageLoop
from mmseg_uda.engine.observe import preserve_state
from mmseg_uda.pseudo_labels.inference import segment_probabilities
from mmseg_uda.pseudo_labels.rules import build_rule
from mmseg_uda.pseudo_labels.statistics import ConfidencePools
from mmseg_uda.utils.arguments import expect
from mmseg_uda.utils.processes import on_main

__all__ = ['PseudoLabelLoop']


@LOOPS.register_module()
class PseudoLabelLoop(TargetImageLoop):
    """Labels a set of images with a network's confident predictions.

    A first pass over the images finds one threshold per class. A second pass writes, for each
    image, a PNG of train ids (255: not kept) of the size that the network saw, or with the rule
    ``soft`` the probabilities of all classes at the decode head's resolution, as ``.npy``.
    ``manifest.json`` is completed last. A second run resumes where the first one stopped, and does
    nothing if all labels are there.

    The images are divided among the processes, each exactly once and in order, whatever sampler the
    dataloader has; the result does not depend on the number of processes.

    Replaces the test loop (``test_cfg``); mmengine's test hooks are not called.

    Args:
        runner: The runner.
        dataloader: Dataloader, or its config (no sampler needed), of the target's training images
            through a test pipeline: no labels, no flip, no crop, and ``test_mode=True``.
        out_dir: Directory to write to.
        rule: Name of a rule (``bdl``, ``cbst``, ``global``, ``fixed``, ``soft``), or
            ``dict(type=name)`` with its arguments, see :mod:`mmseg_uda.pseudo_labels.rules`.
        flip: Label by the mean of the probabilities of an image and of its mirror image (ProDA).
        overwrite: Replace labels that another network, rule or dataset made; only those that are
            as the manifest says are deleted, others are moved aside.
        softmax_first: Take the softmax before (True) or after upsampling the logits; None does as
            the rule's paper does; ``soft`` needs True.
        budget: Confidences that each class keeps exactly before it changes to a histogram.
        bins: Bins of that histogram; thresholds are then too low by less than 1 / bins.
        evaluator: Not used; mmengine passes it to every test loop.

    Raises:
        TypeError: If ``out_dir`` or ``rule`` has a wrong type.
        ValueError: If ``out_dir`` is a file, an argument is out of range, or the dataset is not a
            test dataset with class names; or if ``out_dir`` is read, or lies inside or above what
            is.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | dict[str, Any],
        out_dir: str,
        rule: str | Mapping[str, Any] = 'bdl',
        overwrite: bool = False,
        flip: bool = False,
        softmax_first: bool | None = None,
        budget: int = 2**20,
        bins: int = 2**14,
        evaluator: Any = None,
    ) -> None:
        self.rule = build_rule(rule)
        ConfidencePools(0, budget, bins)  # raises an error if they are wrong
        self.softmax_first = self.rule.softmax_first if softmax_first is None else softmax_first
        possible = self.softmax_first or not self.rule.soft
        expect(possible, 'PseudoLabelLoop.softmax_first', 'True with rule soft', softmax_first)
        self.flip = flip
        self.budget = budget
        self.bins = bins
        if not isinstance(out_dir, str) or not out_dir:
            raise TypeError(
                f'PseudoLabelLoop.out_dir: expected a path, but got {out_dir!r}; write a directory'
            )
        free = osp.isdir(out_dir) or not osp.exists(out_dir)
        expect(free, 'PseudoLabelLoop.out_dir', 'a directory', out_dir)
        reads = read_paths(runner.cfg, but=['directory'])
        check_output('PseudoLabelLoop.out_dir', out_dir, reads)
        self.out_dir = out_dir
        self.overwrite = overwrite
        super().__init__(runner, dataloader, SOFT_SUFFIX if self.rule.soft else LABEL_SUFFIX)

    def run(self) -> dict[str, Any]:
        """Write the labels.

        Returns:
            The manifest's thresholds and coverage.
        """
        manifest, resumed = on_main(self._look_up)
        if manifest.complete:
            count = len(manifest.files)
            print_log(f'All {count} pseudo labels are in {self.out_dir} already', 'current')
        else:
            with preserve_state(self.runner.model):
                if manifest.thresholds is None:
                    manifest.thresholds = self._find_thresholds()
                    self._on_main(lambda: manifest.write(self.out_dir))
                counts = self._write_labels(manifest, resumed)
            manifest.predicted_pixels, manifest.kept_pixels = counts.tolist()
            self._on_main(lambda: manifest.finish(self.out_dir))
            self._report(manifest)
        return {'thresholds': manifest.thresholds, 'coverage': manifest.coverage}

    def new_manifest(self) -> Manifest:
        """Describe this run's labels before any image is labelled."""
        flip = {'flip': True} if self.flip else {}  # older manifests do not have it
        return Manifest(
            rule={**self.rule.describe(), 'softmax_first': self.softmax_first, **flip},
            num_classes=self.num_classes,
            config_sha256=digest_config(self.runner.cfg.get('model'), self._dataset_cfg),
            checkpoint_sha256=self._weights_digest(),
            files=self._names,
        )

    def _weights_digest(self) -> str:
        # Weights of a URL, or those in memory, have no file.
        return digest_path(self.runner._load_from or '') or digest_weights(self.runner.model)

    def _look_up(self) -> tuple[Manifest, bool]:
        """Return the manifest to continue with, and True if an earlier run's files count."""
        new = self.new_manifest()
        manifest_path = osp.join(self.out_dir, MANIFEST_NAME)
        paths = [osp.join(self.out_dir, name) for name in self._names]
        if osp.isfile(manifest_path):
            old = Manifest.read(self.out_dir)
            if self.overwrite and old.recipe != new.recipe:
                old.clear(self.out_dir)
                return new, False
            raise_differences('PseudoLabelLoop.out_dir', self.out_dir, old.recipe, new.recipe)
            old.complete = old.complete and all(map(osp.isfile, paths))
            return old, True
        for path in filter(osp.exists, paths):
            raise ValueError(
                'PseudoLabelLoop.out_dir: expected a directory without labels, but got one that '
                f'has {path!r} and no {MANIFEST_NAME}; write another directory'
            )
        return new, False

    def _find_thresholds(self) -> list[float]:
        pools = ConfidencePools(self.rule.num_pools(self.num_classes), self.budget, self.bins)
        if pools.num_pools:
            for _, probabilities in self._segment(self._share(), 'thresholds'):
                self.rule.collect(pools, probabilities)
            pools.synchronize()
        return self.rule.thresholds(pools, self.num_classes)

    def _write_labels(self, manifest: Manifest, resumed: bool) -> Tensor:
        """Run the second pass.

        Returns:
            Predicted and kept pixels of each class over the whole set, shape (2, C).
        """
        total = np.zeros((2, self.num_classes), dtype=np.int64)  # predicted; kept
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
            # On a CPU twice as fast as `argmax`; both give the first of equal classes.
            prediction = probabilities.max(0).indices.flatten()  # (H * W,)
            predicted = torch.bincount(prediction, minlength=self.num_classes).cpu().numpy()
            path, kept = osp.join(self.out_dir, name), predicted
            if self.rule.soft:
                write_soft_label(path, probabilities.cpu().numpy())
            else:
                label = self.rule.select(probabilities, thresholds).byte().cpu().numpy()  # (H, W)
                write_label(path, label, predicted.tolist())
                kept = np.bincount(label.ravel(), minlength=256)[: self.num_classes]
            total += np.stack([predicted, kept])
        summed = torch.from_numpy(total)
        all_reduce(summed)
        return summed

    def _segment(self, indices: list[int], task: str) -> Iterator[tuple[str, Tensor]]:
        """Run the network over images, and show the progress.

        Yields:
            The name of an image's label file, and the image's probabilities (C, H, W).
        """
        if not indices:
            return
        name_of = dict(zip(self._paths, self._names))
        with self._progress(len(indices), f'Pseudo labels: {task}') as progress:
            for data in self._batches(indices):
                images, samples = segment_probabilities(
                    self.runner.model, data, self.softmax_first, not self.rule.soft, self.flip
                )
                for probabilities, sample in zip(images, samples):
                    self._check(sample.metainfo, probabilities)
                    yield name_of[osp.abspath(sample.img_path)], probabilities
                    progress.update()

    def _check(self, meta: dict[str, Any], probabilities: Tensor) -> None:
        if meta.get('flip'):
            raise ValueError(
                'PseudoLabelLoop.dataloader: expected unflipped images, but got a flipped one; '
                'write a test pipeline without RandomFlip'
            )
        if len(probabilities) != self.num_classes:
            raise ValueError(
                f'PseudoLabelLoop: expected a network with the {self.num_classes} classes of '
                f'dataloader.dataset, but got one that predicts {len(probabilities)}; write the '
                'same classes for both'
            )

    @staticmethod
    def _on_main(write: Callable[[], None]) -> None:
        """Write the manifest once every process has reached this point."""
        barrier()
        on_main(write)

    def _report(self, manifest: Manifest) -> None:
        labels = f'{len(manifest.files)} pseudo labels in {self.out_dir}'
        print_log(f'{labels}: {100 * manifest.kept_share:.1f} % of the pixels kept', 'current')
        if not manifest.kept_share:
            advice = 'No pixel was kept: lower the threshold or raise the share'
            print_log(advice, 'current', level=logging.WARNING)
