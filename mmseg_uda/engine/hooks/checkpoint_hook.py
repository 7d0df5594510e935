"""Checkpoints that are deleted only after their successors are written."""

from __future__ import annotations

import math
import os.path as osp
from collections import deque
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_uda.config.selection import SELECTED, selects_by_target_labels
from mmseg_uda.engine.optimizers import iterations_per_step

__all__ = ['CheckpointHook']


class _LaterDeletions:
    """A storage backend that only notes what it is told to delete."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.outdated: list[str] = []

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    rmtree = remove

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """Saves checkpoints as mmengine's hook does, but deletes older ones afterwards.

    mmengine deletes first, so that a process that is killed while it writes may leave no checkpoint
    at all. The log says so if ``save_best`` takes labels of the target, and if ``interval`` is no
    multiple of ``accumulative_counts``, as a checkpoint holds no gradients. This class has the same
    name, and so is the one of every config with ``default_scope='mmseg'`` that imports the package.

    Args:
        kwargs: As for :class:`mmengine.hooks.CheckpointHook`.
    """

    file_backend: Any
    keep_ckpt_ids: deque[int]

    def before_train(self, runner: Runner) -> None:
        """Read the records of a resumed run; surplus checkpoints of a killed one go."""
        super().before_train(runner)
        if self.save_best and selects_by_target_labels(runner.cfg):
            runner.logger.warning(
                f'CheckpointHook.save_best: the best checkpoint is {SELECTED}, by '
                f'{", ".join(self.save_best)} of the validation split; do not write its number in '
                'one table with those of last checkpoints'
            )
        counts = iterations_per_step(runner.optim_wrapper)
        if not self.by_epoch and self.interval > 0 and self.interval % counts:
            runner.logger.warning(
                f'CheckpointHook.interval: expected a multiple of accumulative_counts={counts}, '
                f'but got {self.interval}; gradients that wait for a step are in no checkpoint, so '
                'a resumed training would lose them; write '
                f'default_hooks.checkpoint.interval={math.ceil(self.interval / counts) * counts}'
            )
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(self.keep_ckpt_ids)
        # A new best one is also noted in the last one, be it of the process that was killed.
        last = osp.basename(runner.message_hub.runtime_info.get('last_ckpt') or '')
        path = self.file_backend.join_path(self.out_dir, last)
        if last and self.file_backend.isfile(path):
            self.last_ckpt = path

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out the functions of schedulers, which the reader of checkpoints refuses."""
        schedulers = checkpoint.get('param_schedulers') or []
        # One list, or one per optimizer.
        for states in schedulers.values() if isinstance(schedulers, dict) else [schedulers]:
            for state in states:
                for key in [key for key, value in state.items() if callable(value)]:
                    del state[key]  # a scheduler is built with them

    def save_now(self, runner: Runner, iterations: int) -> str:
        """Save a checkpoint outside of the interval, unless it has just been saved.

        Args:
            runner: The runner.
            iterations: Number of iterations that are done.

        Returns:
            Path of the checkpoint.
        """
        name = self.filename_tmpl.format(iterations)
        path = self.file_backend.join_path(self.out_dir, name)
        if path != runner.message_hub.runtime_info.get('last_ckpt'):
            meta = dict(epoch=runner.epoch, iter=iterations)
            self._save_checkpoint_with_step(runner, iterations, meta)
        return str(path)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        if self.max_keep_ckpts <= 0:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        # For the time of writing there may be one more. The file says so itself, so that a run that
        # is killed here deletes the older one when it is resumed.
        self.max_keep_ckpts += 1
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts -= 1
        while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
            name = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            self._delete(self.file_backend.join_path(self.out_dir, name))
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        if not self.save_best or not hasattr(self, 'file_backend'):  # where nothing is trained
            return
        backend = self.file_backend
        self.file_backend = later = _LaterDeletions(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        best = getattr(self, 'best_ckpt_path_dict', {None: getattr(self, 'best_ckpt_path', None)})
        for path in later.outdated:
            if path not in best.values():
                self._delete(path)

    def _delete(self, path: str) -> None:
        if not is_main_process():
            return
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed's
            self.file_backend.rmtree(path)
