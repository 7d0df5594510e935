"""Rounds of self-training inside one training run."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import LoadImageFromFile, RandomChoiceResize, RandomResize, Resize
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.datasets import PackSegInputs
from mmseg.registry import HOOKS

from mmseg_uda.artifacts.digest import digest_weights
from mmseg_uda.artifacts.files import MANIFEST_NAME, move_aside
from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.artifacts.recipe import differences
from mmseg_uda.config.datasets import (
    is_random,
    loads_labels,
    map_datasets,
    transform_class,
    unlabelled_images,
)
from mmseg_uda.datasets.checks import check_pseudo_labels, check_unlabelled, pseudo_label_loaders
from mmseg_uda.engine.loops.pseudo_label_loop import PseudoLabelLoop
from mmseg_uda.engine.loops.uda_train_loop import UDATrainLoop
from mmseg_uda.engine.observe import unwrap_model
from mmseg_uda.pseudo_labels.rules import build_rule
from mmseg_uda.utils.arguments import check_integer, expect

__all__ = ['PseudoLabelRefreshHook']

CHECKPOINT_KEY = 'pseudo_labels'

Config = Mapping[str, Any]


def _test_pipeline(steps: Sequence[Config]) -> list[Config]:
    """Test pipeline out of a training pipeline: its image loader and ``Resize``."""
    kept: list[Config] = []
    for step in steps:
        cls = transform_class(step)
        if issubclass(cls, (LoadImageFromFile, Resize)):
            kept.append(step)
        # A random resize does not tell the size at which to label.
        elif issubclass(cls, (RandomResize, RandomChoiceResize)) or not (
            issubclass(cls, PackSegInputs) or loads_labels(step) or is_random(step)
        ):
            raise ValueError(
                'PseudoLabelRefreshHook.pipeline: expected a pipeline, because a test may need '
                f"{cls.__name__} of the target's training pipeline, but got None; write "
                'a test pipeline for the target images'
            )
    return [*kept, {'type': 'PackSegInputs'}]


def _images_of(dataset: Config, pipeline: Sequence[Config] | None) -> dict[str, Any]:
    """Config of a training set's images, each once, in order, without labels."""

    def change(images: dict[str, Any]) -> dict[str, Any]:
        steps = _test_pipeline(images['pipeline']) if pipeline is None else pipeline
        return {**images, 'pipeline': steps}

    return unlabelled_images(map_datasets(dataset, change))


class _Labeller(PseudoLabelLoop):
    """Labels by the weights in memory, in directories that belong to the run."""

    def _weights_digest(self) -> str:
        return digest_weights(unwrap_model(self.runner.model))

    def _look_up(self) -> tuple[Manifest, bool]:
        try:
            return super()._look_up()
        except ValueError as error:  # of another network or rule
            aside, reason = move_aside(self.out_dir), str(error).partition(';')[0]
            print_log(f'Pseudo labels in {self.out_dir} are in {aside} now: {reason}', 'current')
            return super()._look_up()


@HOOKS.register_module()
class PseudoLabelRefreshHook(Hook):
    """Label the target's training images with the current network every ``interval`` iterations.

    Round k is labelled after k ``interval`` iterations, into ``<work_dir>/pseudo_labels/round_<k>``
    and by the same code as ``tools/generate_pseudo_labels.py``. The target stream reads these
    labels until the next round. The current labels are thus a function of the iteration, and a
    resumed run continues as if it had not stopped: in the middle of a round it uses that round's
    directory, which must hold the labels that the checkpoint was trained with; at the start of a
    round it labels, or completes an interrupted round. Directories of another network are moved
    aside. Labelling does not change the model or the random state.

    The target's pipeline needs ``dict(type='LoadPseudoLabels', pseudo_dir=None, num_classes=...)``.
    Each round's coverage, and each class's threshold and kept share, go to the visualizer.

    Args:
        interval: Iterations per round.
        rounds: Number of labelled rounds; None for rounds until the end of training.
        rule: As for :class:`PseudoLabelLoop`.
        softmax_first: As for :class:`PseudoLabelLoop`.
        pipeline: Test pipeline of the target images; its label loaders are left out. Default: the
            image loader and ``Resize`` of the target's training pipeline.
        begin_with_labels: Train on the labels in ``LoadPseudoLabels.pseudo_dir`` first, and label
            only after ``interval`` iterations (round 1). Default: label round 0 before the first
            iteration.

    Example:
        Use in a config::

            custom_hooks = [dict(type='PseudoLabelRefreshHook', interval=20000, rule='cbst')]
    """

    priority = 'LOWEST'  # after the checkpoint of the iteration that a round follows
    makes_pseudo_labels = True

    def __init__(
        self,
        interval: int,
        rounds: int | None = None,
        rule: str | Config = 'bdl',
        softmax_first: bool | None = None,
        pipeline: Sequence[Config] | None = None,
        begin_with_labels: bool = False,
    ) -> None:
        check_integer('PseudoLabelRefreshHook.interval', interval, 1)
        if rounds is not None:
            check_integer('PseudoLabelRefreshHook.rounds', rounds, 1)
        self.interval = interval
        self.first = int(begin_with_labels)
        self.last = None if rounds is None else self.first + rounds - 1
        build_rule(rule)  # raises an error if it is wrong
        self.rule = rule
        self.softmax_first = softmax_first
        self.pipeline = pipeline
        self._labels: dict[str, Any] | None = None  # current ones
        self._saved: dict[str, Any] | None = None  # those of the loaded checkpoint

    def round_at(self, iteration: int) -> int:
        """Compute the current round; with ``begin_with_labels``, 0 is that of the given labels."""
        number = iteration // self.interval
        return number if self.last is None else min(number, self.last)

    def before_train(self, runner: Runner) -> None:
        """Check everything that the rounds need, and use or make the first labels."""
        if not isinstance(runner.train_loop, UDATrainLoop):
            raise TypeError(
                "PseudoLabelRefreshHook: expected train_cfg=dict(type='UDATrainLoop', ...), but "
                f'got {type(runner.train_loop).__name__}'
            )
        self._labeller = self._build(runner)
        self._check(runner.train_loop.dataloaders['target'].dataset)
        number = self.round_at(runner.iter)
        if number < self.first or runner.iter >= runner.max_iters:
            return
        if runner.iter == number * self.interval:
            self._label(runner, number)
        else:
            self._continue(runner, number)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Label before the first iteration of a round."""
        # `runner.iter` is that of the iteration that ends.
        number, remainder = divmod(runner.iter + 1, self.interval)
        if (
            not remainder
            and number == self.round_at(runner.iter + 1)
            and runner.iter + 1 < runner.max_iters
        ):
            self._label(runner, number)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Save the description of the current labels."""
        if self._labels is not None:
            checkpoint[CHECKPOINT_KEY] = self._labels

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read the description of the labels at that time."""
        self._saved = checkpoint.get(CHECKPOINT_KEY)

    def _build(self, runner: Runner) -> _Labeller:
        target = runner.cfg.train_dataloader['target']
        loader = {
            'batch_size': 1,
            'num_workers': target.get('num_workers', 0),
            'dataset': _images_of(target['dataset'], self.pipeline),
        }
        labeller = _Labeller(
            runner,
            loader,
            self._directory(runner, self.first),
            self.rule,
            softmax_first=self.softmax_first,
        )
        # A pipeline may load ground truth in a way that its config does not show.
        check_unlabelled(labeller.dataloader.dataset, 'PseudoLabelRefreshHook')
        return labeller

    def _check(self, dataset: Any) -> None:
        transforms = [transform for transform, _ in pseudo_label_loaders(dataset)]
        if not transforms:
            raise ValueError(
                'PseudoLabelRefreshHook: expected LoadPseudoLabels in '
                'train_dataloader.target.dataset.pipeline, but got none; write '
                "dict(type='LoadPseudoLabels', pseudo_dir=None, num_classes=...) after "
                'LoadImageFromFile'
            )
        for transform in transforms:
            if (transform.pseudo_dir is not None) != bool(self.first):
                known = 'the directory of the first labels' if self.first else 'None'
                raise ValueError(
                    f'LoadPseudoLabels.pseudo_dir: expected {known}, because of '
                    f'PseudoLabelRefreshHook.begin_with_labels={bool(self.first)}, but got '
                    f'{transform.pseudo_dir!r}'
                )
            classes = self._labeller.num_classes
            known = f'{classes}, the classes of the target'
            valid = transform.num_classes == classes
            expect(valid, 'LoadPseudoLabels.num_classes', known, transform.num_classes)

    @staticmethod
    def _directory(runner: Runner, number: int) -> str:
        return osp.join(runner.work_dir, 'pseudo_labels', f'round_{number}')

    def _describe(self, number: int, manifest: Manifest) -> dict[str, Any]:
        return {
            'round': number,
            'iteration': number * self.interval,
            'network': manifest.checkpoint_sha256,
        }

    def _label(self, runner: Runner, number: int) -> None:
        """Make a round's labels and use them."""
        directory = self._labeller.out_dir = self._directory(runner, number)
        self._labeller.run()
        manifest = Manifest.read(directory)
        self._log(runner, number, manifest)
        self._use(runner, directory, self._describe(number, manifest))

    def _continue(self, runner: Runner, number: int) -> None:
        """Use the labels with which a resumed run was trained before.

        Raises:
            ValueError: If they do not exist, or others do.
        """
        directory, labels = self._directory(runner, number), {}
        problems = [f'no {MANIFEST_NAME}']
        if osp.isfile(osp.join(directory, MANIFEST_NAME)):
            found = Manifest.read(directory)
            # The current weights are other ones; the checkpoint knows those that labelled.
            problems = [
                line
                for line in differences(found.recipe, self._labeller.new_manifest().recipe)
                if not line.startswith('checkpoint_sha256')
            ]
            labels = self._describe(number, found)
            if not found.complete or labels != self._saved:
                problems.append(f'made by {labels}')
        if problems:
            raise ValueError(
                f'PseudoLabelRefreshHook: expected the labels {self._saved}, with which the '
                f'checkpoint of iteration {runner.iter} was trained, but got others in '
                f'{directory!r} ({", ".join(problems)}); resume with the config and the work_dir '
                f'of that run, or from iteration {number * self.interval}, which makes them anew'
            )
        self._use(runner, directory, labels)

    def _use(self, runner: Runner, directory: str, labels: dict[str, Any]) -> None:
        dataset = runner.train_loop.dataloaders['target'].dataset
        for transform, _ in pseudo_label_loaders(dataset):
            transform.read_from(directory)
        check_pseudo_labels(dataset)
        runner.train_loop.reopen('target')  # its workers read the labels of the round before
        self._labels = labels

    def _log(self, runner: Runner, number: int, manifest: Manifest) -> None:
        scalars = {'pseudo.round': number, 'pseudo.coverage': manifest.kept_share}
        classes = self._labeller.dataloader.dataset.metainfo['classes']
        for name, threshold, share in zip(classes, manifest.thresholds or (), manifest.coverage):
            scalars[f'pseudo.threshold_{name}'] = threshold
            if share is not None:
                scalars[f'pseudo.kept_{name}'] = share
        runner.visualizer.add_scalars(scalars, step=number * self.interval)
