"""Validation on further sets, to select a checkpoint without the target's ground truth."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import Runner, ValLoop
from mmengine.runner.amp import autocast
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from mmseg_uda.datasets.checks import check_dataset
from mmseg_uda.datasets.folders import check_folders
from mmseg_uda.engine.observe import unwrap_model
from mmseg_uda.utils.arguments import expect
from mmseg_uda.utils.terminal import LogLine

__all__ = ['SelectionValLoop']

TARGET = ''  # the name of the target's own validation set
Sets = dict[str, tuple[Any, Any]]  # name -> dataloader and evaluator


class _Sets:
    """Presents several validation sets as the one dataloader and evaluator of a loop.

    Batches are numbered over all sets together; so are progress bars, remaining times, and the
    steps under which hooks store pictures.

    Args:
        sets: Dataloader and evaluator by name.
        mean: As for :class:`SelectionValLoop`.
        with_teacher: Names of the sets whose metrics get the other network's scores.
    """

    def __init__(self, sets: Sets, mean: str | None, with_teacher: Sequence[str] = ()) -> None:
        self.sets, self.mean, self.with_teacher = sets, mean, with_teacher
        self.dataset = next(iter(sets.values()))[0].dataset
        self.current = ''
        self.other_logits: list[Any] | None = None  # of the batch, by student or teacher

    def __len__(self) -> int:
        return sum(len(loader) for loader, _ in self.sets.values())

    def __iter__(self) -> Iterator[Any]:
        for name, (loader, _) in self.sets.items():
            self.current = name
            yield from loader

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Pass predictions on to the metrics of the set from which the batch came."""
        for sample, logits in zip(data_samples, self.other_logits or ()):
            sample.other_logits = logits
        _, evaluator = self.sets[self.current]
        evaluator.process(data_samples=data_samples, data_batch=data_batch)

    def evaluate(self, size: int) -> dict[str, Any]:
        """Compute the metrics of all sets.

        Args:
            size: Not used; each set has its own.

        Returns:
            The target's metrics by their names, the others and the means by ``<set>/<metric>``.
        """
        metrics: dict[str, Any] = {}
        selection: list[dict[str, Any]] = []
        for name, (loader, evaluator) in self.sets.items():
            # The terminal has no table of the set below this line.
            print_log(LogLine(f'Validation on {name or "the target"}:', ''), 'current')
            result = evaluator.evaluate(len(loader.dataset))
            metrics.update(_prefixed(name, result))
            if name != TARGET:
                selection.append(result)
        if self.mean is not None:
            metrics.update(_prefixed(self.mean, _means(selection)))
        return metrics


@LOOPS.register_module()
class SelectionValLoop(ValLoop):
    """Validates on the target, then on named sets that select a checkpoint.

    DAST (Yu et al., AAAI 2021, "When to Start the Self-Training") selects without target labels: on
    source images translated to the target's style, in two styles, by the mean of both::

        val_cfg = dict(
            type='SelectionValLoop',
            selection=dict(
                beta05=dict(dataloader=dict(dataset=...)),
                beta09=dict(dataloader=dict(dataset=...))),
            mean='translated')
        default_hooks = dict(checkpoint=dict(save_best='translated/mIoU', rule='greater'))

    The target's metrics keep their names; the others are ``beta05/mIoU``, ``beta09/mIoU`` and
    ``translated/mIoU``. For hooks it is one validation over the batches of all sets.

    Args:
        runner: The runner.
        dataloader: The target's validation dataloader or its config, from ``val_dataloader``.
        evaluator: Its evaluator or the config, from ``val_evaluator``.
        selection: Per name ``dict(dataloader=..., evaluator=...)``. Without a sampler the images
            come in order; without an evaluator the metrics are those of ``val_evaluator``. With
            ``with_teacher=True`` the method's other network predicts each batch, too: the teacher,
            or the student of a method that is tested as its teacher. Its scores are
            ``other_logits`` of a sample, for ``teacher_agreement`` of a
            :class:`~mmseg_uda.evaluation.LabelFreeMetric`.
        mean: Name of the mean over the selection sets, taken for every number that all of them
            give; None for no mean.
        validate_target: Validate on the target, too. If False, its dataset is not even built, so
            that neither its images nor its ground truth can influence the training.
        kwargs: As for :class:`mmengine.runner.ValLoop`.

    Raises:
        TypeError: If ``selection`` is not a dict of dicts.
        ValueError: If a name or a key is wrong, a directory is missing or empty, the classes of
            the sets differ, or a method without a teacher is to predict with one.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | dict[str, Any],
        evaluator: Evaluator | dict[str, Any] | list[Any],
        selection: Mapping[str, Mapping[str, Any]],
        mean: str | None = None,
        validate_target: bool = True,
        **kwargs: Any,
    ) -> None:
        _check_selection(selection, mean)
        with_teacher = [name for name, part in selection.items() if part.get('with_teacher')]
        self._method: Any = unwrap_model(runner.model)
        for name in with_teacher:
            if not hasattr(self._method, 'eval_on'):
                raise ValueError(
                    f'SelectionValLoop.selection.{name}.with_teacher: expected a mean teacher, but '
                    f'got {type(self._method).__name__}, which has none; write False'
                )
        parts = {
            name: self._build(runner, name, part, evaluator) for name, part in selection.items()
        }
        if not validate_target:
            dataloader, evaluator = next(iter(parts.values()))
        super().__init__(runner, dataloader, evaluator, **kwargs)
        if validate_target:
            target: Any = self
            parts = {TARGET: (target.dataloader, target.evaluator), **parts}
        _check_classes(parts)
        # The stock `run` iterates over the dataloader and passes predictions to the evaluator.
        sets: Any = _Sets(parts, mean, with_teacher)
        self.dataloader, self.evaluator = sets, sets

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict a batch and pass it to the metrics of its set."""
        sets: Any = self.dataloader
        sets.other_logits = None
        if sets.current in sets.with_teacher:
            sets.other_logits = [each.seg_logits for each in self._predict_by_other(data_batch)]
        super().run_iter(idx, data_batch)

    def _predict_by_other(self, data_batch: Any) -> Sequence[Any]:
        tested = self._method.eval_on
        self._method.eval_on = 'student' if tested == 'teacher' else 'teacher'
        try:
            with autocast(enabled=self.fp16):
                outputs: Sequence[Any] = self.runner.model.val_step(data_batch)
        finally:
            self._method.eval_on = tested
        return outputs

    @staticmethod
    def _build(runner: Runner, name: str, part: Mapping[str, Any], default: Any) -> tuple[Any, Any]:
        loader, key = part['dataloader'], f'val_cfg.selection.{name}.dataloader.dataset'
        if isinstance(loader, dict):
            if isinstance(loader.get('dataset'), dict):
                check_folders(loader['dataset'], key)
            loader = runner.build_dataloader(
                {
                    'sampler': dict(type='DefaultSampler', shuffle=False),
                    'batch_size': 1,
                    'num_workers': 0,
                    **loader,
                },
                seed=runner.seed,
            )
        check_dataset(loader.dataset, key)
        evaluator = part.get('evaluator', default)
        if 'evaluator' not in part and isinstance(default, Evaluator):
            raise ValueError(
                f'SelectionValLoop.selection.{name}.evaluator: expected one, as val_evaluator is '
                'built already, but got none; write evaluator=dict(...)'
            )
        evaluator = runner.build_evaluator(copy.deepcopy(evaluator))
        evaluator.dataset_meta = loader.dataset.metainfo
        return loader, evaluator


def _check_selection(selection: Any, mean: str | None) -> None:
    if not isinstance(selection, Mapping) or not all(
        isinstance(part, Mapping) for part in selection.values()
    ):
        raise TypeError(
            f'SelectionValLoop.selection: expected a dict of dicts, but got {selection!r}; '
            'write dict(name=dict(dataloader=..., evaluator=...))'
        )
    if not selection:
        raise ValueError(
            'SelectionValLoop.selection: expected at least one set, but got none; write one, or '
            "val_cfg=dict(type='ValLoop')"
        )
    for name, part in selection.items():
        if 'dataloader' not in part or set(part) - {'dataloader', 'evaluator', 'with_teacher'}:
            raise ValueError(
                f'SelectionValLoop.selection.{name}: expected the keys dataloader and, optionally, '
                f'evaluator and with_teacher, but got {sorted(part)}; write these'
            )
    for key, name in [*(('selection', name) for name in selection), ('mean', mean)]:
        fine = name is None or (name and '/' not in name)
        expect(bool(fine), f'SelectionValLoop.{key}', 'a name without "/"', name)
    expect(mean not in selection, 'SelectionValLoop.mean', 'a name that no set has', mean)


def _check_classes(sets: Sets) -> None:
    classes = {
        name: tuple(loader.dataset.metainfo.get('classes') or ())
        for name, (loader, _) in sets.items()
    }
    first = next(iter(classes))
    for name, names in classes.items():
        if names != classes[first]:
            raise ValueError(
                f'SelectionValLoop.selection.{name}: expected the {len(classes[first])} classes '
                f'of {first or "the target"}, {classes[first]}, but got the {len(names)} classes '
                f'{names}; write the same metainfo=dict(classes=...) for both'
            )


def _prefixed(name: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {f'{name}/{key}' if name else key: value for key, value in metrics.items()}


def _means(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Average every number that all results have."""
    shared = [key for key in results[0] if all(isinstance(r.get(key), Real) for r in results)]
    return {key: float(sum(r[key] for r in results) / len(results)) for key in shared}
