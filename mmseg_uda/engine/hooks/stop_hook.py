"""The end of a training by a signal, with a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import is_method_overridden
from mmseg.registry import HOOKS

from mmseg_uda.engine.hooks.checkpoint_hook import CheckpointHook
from mmseg_uda.engine.optimizers import ends_with_a_step
from mmseg_uda.utils.signals import SignalNote, Stop

__all__ = ['StopHook']

AROUND = ('before_val_epoch', 'after_val_epoch')  # what the first changes the second restores


@HOOKS.register_module()
class StopHook(Hook):
    """Ends a training after SIGTERM or SIGINT, once a checkpoint of the iteration is saved.

    A cluster sends SIGTERM some time before it takes the machine away. The running iteration ends,
    or that in which the optimizers step next (``accumulative_counts``: gradients are in no
    checkpoint), ``CheckpointHook`` saves it as it saves any other, and the training stops with
    :class:`mmseg_uda.utils.signals.Stop`. A resumed training ends with the weights of one that was
    not stopped. A validation ends at once; the resumed training repeats it. With several processes
    a signal to one of them is enough, and a validation ends first. A second signal ends the process
    at once.

    Raises:
        ValueError: Before the training, if no ``CheckpointHook`` counts in iterations.
    """

    priority = 'VERY_LOW'  # after the checkpoint of an interval, before hooks that work for long

    def __init__(self) -> None:
        self._note = SignalNote()

    def before_train(self, runner: Runner) -> None:
        """Note signals from now on."""
        hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        if not hooks or hooks[0].by_epoch:
            raise ValueError(
                'StopHook: expected a CheckpointHook that counts in iterations, but got '
                f'{"one that counts in epochs" if hooks else "none"}; write default_hooks.'
                "checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=...)"
            )
        self._checkpoints = hooks[0]
        self._note.open()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop after the iteration in which a signal came."""
        self._stop_if_told(runner, runner.iter + 1)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Cut a validation off; processes need not have as many batches as each other."""
        told = get_world_size() == 1 and self._note.signum
        if told and ends_with_a_step(runner, runner.iter):
            for hook in runner.hooks:  # weights or statistics of a validation are no training's
                if all(is_method_overridden(name, Hook, hook) for name in AROUND):
                    hook.after_val_epoch(runner)
            self._stop_if_told(runner, runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Stop after a validation."""
        self._stop_if_told(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Handle signals as before."""
        self._note.close()

    def _stop_if_told(self, runner: Runner, iterations: int) -> None:
        if not ends_with_a_step(runner, iterations):
            return
        signum = self._note.signum
        if get_world_size() > 1:
            flag = torch.tensor(signum)
            all_reduce(flag, 'max')
            signum = int(flag)
        if not signum:
            return
        path = self._checkpoints.save_now(runner, iterations)
        barrier()  # a launcher kills the others once a process has ended
        self._note.close()
        raise Stop(signum, f'{path} holds iteration {iterations}, resume from it')
