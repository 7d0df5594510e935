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
from mmseg_uda.artifacts.files import MANIFEST_NAME
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

__all__ = ['PseudoLabelRefreshHook']

CHECKPOINT_KEY = 'pseudo_labels'
PIPELINE_HINT = 'write PseudoLabelRefreshHook.pipeline, a test pipeline for the target images'

Config = Mapping[str, Any]


def _test_pipeline(steps: Sequence[Config]) -> list[Config]:
    """How to look at the images of a training pipeline: loaded, resized, and nothing at random."""
    kept: list[Config] = []
    for step in steps:
        cls = transform_class(step)
        if issubclass(cls, (LoadImageFromFile, Resize)):
            kept.append(step)
        # The sizes of a random resize do not tell the one to label at.
        elif issubclass(cls, (RandomResize, RandomChoiceResize)) or not (
            issubclass(cls, PackSegInputs) or loads_labels(step) or is_random(step)
        ):
            raise ValueError(
                f'PseudoLabelRefreshHook.pipeline got None, but {cls.__name__} in the '
                f"target's training pipeline may have a part in it; {PIPELINE_HINT}"
            )
    return [*kept, {'type': 'PackSegInputs'}]


def _images_of(dataset: Config, pipeline: Sequence[Config] | None) -> dict[str, Any]:
    """Config of a training set's images, each once, in order, and without labels."""

    def change(images: dict[str, Any]) -> dict[str, Any]:
        steps = _test_pipeline(images['pipeline']) if pipeline is None else pipeline
        return {**images, 'pipeline': steps}

    return unlabelled_images(map_datasets(dataset, change))


class _Labeller(PseudoLabelLoop):
    """Labels by the weights in memory, in folders that are the run's own."""

    def _weights_digest(self) -> str:
        return digest_weights(unwrap_model(self.runner.model))

    def _look_up(self) -> tuple[Manifest, bool]:
        self.overwrite = False
        try:
            return super()._look_up()
        except ValueError as error:
            reason = str(error).partition(';')[0]
            print_log(f'Pseudo labels in {self.out_dir} are written anew: {reason}', 'current')
            self.overwrite = True
            return super()._look_up()


@HOOKS.register_module()
class PseudoLabelRefreshHook(Hook):
    """Labels the target's training images with the current network every ``interval`` iterations.

    Round k is labelled after k ``interval`` iterations, into ``<work_dir>/pseudo_labels/round_<k>``
    and by the same code as ``tools/generate_pseudo_labels.py``; from then on, and until the next
    round, the target stream reads these labels. So the labels in force are a function of the
    iteration, and a resumed run continues as if it had not stopped: in the middle of a round it
    takes that round's folder, which must be the one that the checkpoint was trained with; at the
    start of a round it labels, or finishes what was begun. Folders that another network left there
    are replaced. Labelling leaves no trace in the model and in the random state.

    The target's pipeline has ``dict(type='LoadPseudoLabels', pseudo_dir=None, num_classes=...)``.
    Each round's coverage, and each class's threshold and kept share, go to the visualizer.

    Args:
        interval: Iterations of a round.
        rounds: How many times to label; None for as often as the training is long.
        rule: As for :class:`PseudoLabelLoop`.
        softmax_first: As for :class:`PseudoLabelLoop`.
        pipeline: Test pipeline of the target images; its label loaders are left out. Default: the
            image loader and ``Resize`` of the target's training pipeline.
        begin_with_labels: Train on the labels in ``LoadPseudoLabels.pseudo_dir`` first, and label
            only after ``interval`` iterations (round 1); else round 0 precedes the first one.
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
        for key, value in (('interval', interval), ('rounds', rounds)):
            if not (isinstance(value, int) and value > 0) and (key, value) != ('rounds', None):
                raise ValueError(
                    f'PseudoLabelRefreshHook.{key} got {value!r}; write an integer >= 1 instead'
                )
        self.interval = interval
        self.first = int(begin_with_labels)
        self.last = None if rounds is None else self.first + rounds - 1
        build_rule(rule)  # checks it
        self.rule = rule
        self.softmax_first = softmax_first
        self.pipeline = pipeline
        self._labels: dict[str, Any] | None = None  # in force
        self._saved: dict[str, Any] | None = None  # in force when the checkpoint was written

    def round_at(self, iteration: int) -> int:
        """The round whose labels are in force; 0 are the given ones with ``begin_with_labels``."""
        number = iteration // self.interval
        return number if self.last is None else min(number, self.last)

    def before_train(self, runner: Runner) -> None:
        """Check everything that the rounds need, and take or make the labels to begin with."""
        if not isinstance(runner.train_loop, UDATrainLoop):
            raise TypeError(
                f'PseudoLabelRefreshHook got {type(runner.train_loop).__name__}; write '
                "train_cfg=dict(type='UDATrainLoop', ...)"
            )
        self._labeller = self._build(runner)
        self._check(runner.train_loop.dataloaders['target'].dataset)
        number = self.round_at(runner.iter)
        if number < self.first or runner.iter >= runner.max_iters:
            return
        if runner.iter == number * self.interval:
            self._label(runner, number)
        else:
            self._go_on(runner, number)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Label before the first iteration of a round."""
        number, remainder = divmod(runner.iter + 1, self.interval)
        if (
            not remainder
            and number == self.round_at(runner.iter + 1)
            and runner.iter + 1 < runner.max_iters
        ):
            self._label(runner, number)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note which labels are in force."""
        if self._labels is not None:
            checkpoint[CHECKPOINT_KEY] = self._labels

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read which labels were in force."""
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
            self._folder(runner, self.first),
            self.rule,
            softmax_first=self.softmax_first,
        )
        check_unlabelled(labeller.dataloader.dataset, 'PseudoLabelRefreshHook')
        return labeller

    def _check(self, dataset: Any) -> None:
        transforms = [transform for transform, _ in pseudo_label_loaders(dataset)]
        if not transforms:
            raise ValueError(
                'PseudoLabelRefreshHook got a target pipeline without '
                "LoadPseudoLabels; write dict(type='LoadPseudoLabels', "
                'pseudo_dir=None, num_classes=...) after LoadImageFromFile in '
                'train_dataloader.target.dataset.pipeline'
            )
        for transform in transforms:
            if (transform.pseudo_dir is not None) != bool(self.first):
                fix = (
                    'write the folder of the first labels, or begin_with_labels=False'
                    if self.first
                    else 'write None, or begin_with_labels=True'
                )
                raise ValueError(
                    f'PseudoLabelRefreshHook.begin_with_labels got {bool(self.first)}, and '
                    f'LoadPseudoLabels.pseudo_dir got {transform.pseudo_dir!r}; {fix}'
                )
            if transform.num_classes != self._labeller.num_classes:
                raise ValueError(
                    f'LoadPseudoLabels.num_classes got {transform.num_classes}, but the target has '
                    f'{self._labeller.num_classes} classes; write that'
                )

    @staticmethod
    def _folder(runner: Runner, number: int) -> str:
        return osp.join(runner.work_dir, 'pseudo_labels', f'round_{number}')

    def _describe(self, number: int, manifest: Manifest) -> dict[str, Any]:
        return {
            'round': number,
            'iteration': number * self.interval,
            'network': manifest.checkpoint_sha256,
        }

    def _label(self, runner: Runner, number: int) -> None:
        """Make a round's labels and train on them."""
        folder = self._labeller.out_dir = self._folder(runner, number)
        self._labeller.run()
        manifest = Manifest.read(folder)
        self._log(runner, number, manifest)
        self._take(runner, folder, self._describe(number, manifest))

    def _go_on(self, runner: Runner, number: int) -> None:
        """Take the labels with which a resumed run was trained before.

        Raises:
            ValueError: If they are not there, or others are.
        """
        folder, labels = self._folder(runner, number), {}
        problems = [f'no {MANIFEST_NAME}']
        if osp.isfile(osp.join(folder, MANIFEST_NAME)):
            found = Manifest.read(folder)
            # The weights have moved on: the checkpoint knows those that labelled.
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
                f'PseudoLabelRefreshHook: the checkpoint of iteration {runner.iter} was trained '
                f'with the labels {self._saved}, but {folder!r} has others '
                f'({", ".join(problems)}); resume with the config and the work_dir of that run, or '
                f'from iteration {number * self.interval}, where they are made anew'
            )
        self._take(runner, folder, labels)

    def _take(self, runner: Runner, folder: str, labels: dict[str, Any]) -> None:
        dataset = runner.train_loop.dataloaders['target'].dataset
        for transform, _ in pseudo_label_loaders(dataset):
            transform.read_from(folder)
        check_pseudo_labels(dataset)
        runner.train_loop.reopen('target')
        self._labels = labels

    def _log(self, runner: Runner, number: int, manifest: Manifest) -> None:
        scalars = {'pseudo.round': number, 'pseudo.coverage': manifest.kept_share}
        classes = self._labeller.dataloader.dataset.metainfo['classes']
        for name, threshold, share in zip(classes, manifest.thresholds or (), manifest.coverage):
            scalars[f'pseudo.threshold_{name}'] = threshold
            if share is not None:
                scalars[f'pseudo.kept_{name}'] = share
        runner.visualizer.add_scalars(scalars, step=number * self.interval)
