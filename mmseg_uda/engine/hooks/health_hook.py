"""Stops a training that is lost, and warns of one that is about to be."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_uda.engine.observe import first_image, preserve_state, segment, unwrap_model

__all__ = ['HealthHook']


@HOOKS.register_module()
class HealthHook(Hook):
    """Looks after the losses, the target predictions and the discriminators.

    Every ``interval`` iterations, and not in between, so that the device is not waited for:

    - a loss that is NaN or infinite ends the training with an error that names it;
    - one class on nearly the whole target image, ``patience`` looks in a row, warns of a collapse;
    - a discriminator that is always right (each ``disc.acc*`` is 1) or has nothing left to learn (a
      ``disc.loss*`` of 0), ``patience`` looks in a row, warns: it gives the segmentor no gradient.

    A warning is repeated only after the matter was well in between. The random state and the model
    are left alone.

    Args:
        interval: Iterations between two looks.
        max_class_share: Share of pixels of the most frequent class that counts as collapsed,
            in (0, 1].
        min_disc_loss: A discriminator loss below this counts as zero.
        patience: Bad looks in a row until a warning.
    """

    priority = 'LOW'

    def __init__(
        self,
        interval: int = 50,
        max_class_share: float = 0.98,
        min_disc_loss: float = 1e-3,
        patience: int = 5,
    ) -> None:
        for key, value in (('interval', interval), ('patience', patience)):
            if value < 1:
                raise ValueError(f'HealthHook.{key} got {value}; write at least 1 instead.')
        if not 0 < max_class_share <= 1:
            raise ValueError(
                f'HealthHook.max_class_share got {max_class_share}; write a number in (0, 1].'
            )
        self.interval = interval
        self.max_class_share = max_class_share
        self.min_disc_loss = min_disc_loss
        self.patience = patience
        self._streaks: dict[str, int] = {}

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Look, every ``interval`` iterations."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        logs = {key: float(value) for key, value in (outputs or {}).items()}
        lost = [f'{key}={value}' for key, value in logs.items() if _is_lost(key, value)]
        if lost:
            raise FloatingPointError(
                f'HealthHook: iteration {runner.iter + 1} got {", ".join(lost)}; lower the '
                'learning rate or the loss weights, or clip gradients, then resume from an earlier '
                'checkpoint.'
            )
        if not is_main_process():
            return
        self._look_at_discriminators(runner, logs)
        if isinstance(data_batch, dict) and 'target' in data_batch:
            model = unwrap_model(runner.model)
            with preserve_state(model):
                label, _ = segment(model, first_image(model, data_batch, 'target'))
            share = float(label.flatten().bincount().max()) / label.numel()
            self._judge(
                runner,
                'target prediction',
                share > self.max_class_share,
                f'is one class on {share:.1%} of the image: the model may have collapsed',
            )

    def _look_at_discriminators(self, runner: Runner, logs: dict[str, float]) -> None:
        accuracy: dict[str, float] = {}
        for key, value in logs.items():
            if key.startswith('disc.acc'):
                # Right on one domain alone may be a mere guess: the worse one counts.
                both = key.replace('source', '*').replace('target', '*')
                accuracy[both] = min(accuracy.get(both, 1.0), value)
            elif key.startswith('disc.') and 'loss' in key:
                stuck = value < self.min_disc_loss
                self._judge(runner, key, stuck, f'is {value:.1e}: nothing left to learn')
        for key, value in accuracy.items():
            self._judge(runner, key, value >= 1 - 1e-3, f'is {value:.3f}: always right')

    def _judge(self, runner: Runner, key: str, bad: bool, message: str) -> None:
        self._streaks[key] = self._streaks.get(key, 0) + 1 if bad else 0
        if self._streaks[key] == self.patience:
            runner.logger.warning(
                f'HealthHook: {key} {message} ({self.patience} looks in a row, the last one at '
                f'iteration {runner.iter + 1}).'
            )


def _is_lost(key: str, value: float) -> bool:
    return 'loss' in key and not abs(value) < float('inf')
