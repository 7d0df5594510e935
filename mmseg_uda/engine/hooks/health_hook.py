"""Detection of diverged, collapsed and stuck training."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_uda.engine.observe import first_image, predict, preserve_state, unwrap_model
from mmseg_uda.utils.arguments import check_integer, check_number

IDLE_ITERS = 100
SHRUNK = 1 / 3  # of a score's usual value, below which it tells a collapse
FLAT = 0.15  # share of the mean's entropy that the places tell, below which a prediction is flat
DRIFTED = 0.25  # in nats; docs/benchmarks/selection.md has the runs that pass it
CHECKPOINT_KEY = 'health'
DIVERGENCE = 'source_divergence'  # of a LabelFreeMetric

__all__ = ['HealthHook']


def prediction_scores(prob: torch.Tensor) -> dict[str, float]:
    """Compute what tells a collapse.

    Args:
        prob: Softmax of an image, shape (1, C, H, W).

    Returns:
        ``class_share`` of the most frequent class, ``effective_classes`` (the exponential of the
        entropy of the classes' shares), the pixels' mean ``entropy``, and ``mutual_information``,
        by which the entropy of their mean is greater; both in nats.
    """
    pixels = prob.flatten(2)[0]  # (C, H·W)
    # argmax takes twice the time on a CPU.
    shares = pixels.max(0).indices.bincount(minlength=len(pixels)) / pixels.shape[1]  # (C, )
    entropy = torch.special.entr(pixels).sum(0).mean()
    of_mean = torch.special.entr(pixels.mean(1)).sum()
    return {
        'class_share': float(shares.max()),
        'effective_classes': float(torch.special.entr(shares).sum().exp()),
        'entropy': float(entropy),
        'mutual_information': float(of_mean - entropy),
    }


@HOOKS.register_module()
class HealthHook(Hook):
    """Check the losses, the target predictions and the discriminators.

    The hook checks every ``interval`` iterations, and not in between, because each check waits for
    the device:

    - A loss that is NaN or infinite ends the training with an error that names it.
    - One class on nearly the whole target image, or less than a third of the effective number of
      classes of the first ``patience`` checks, or (after these) nearly the same uncertain
      prediction at every pixel, in ``patience`` checks in a row logs a warning of a collapse. It
      has the scores, and names the one that saw it first: the share of the most frequent class,
      the effective number of classes, the entropy, or the mutual information of class and place.
    - Predicted classes whose shares drift from the source's: after a validation that has the score
      ``source_divergence`` of a :class:`~mmseg_uda.evaluation.LabelFreeMetric`, a value above
      ``max_divergence`` logs a warning. It sees classes that go one by one, long before one of them
      is everywhere.
    - A discriminator that is always correct (each ``disc.acc*`` is 1) or has nothing left to learn
      (a ``disc.loss*`` of 0) in ``patience`` checks in a row logs a warning: it gives the segmentor
      no gradient.
    - A loss or a ``*_ratio`` that was exactly 0 in each of the first 100 iterations, and one of the
      model's ``regularizers`` whose name no logged key has in them, are named in a warning, once: a
      weight of 0, pseudo labels that are all ignored, a mixer that pastes nothing, domains without
      a pass.

    Any other warning is repeated only after a good check in between. The hook does not change the
    model or the random state. Checkpoints have what it has seen, so that a training that is resumed
    is compared with its own beginning.

    Args:
        interval: Iterations between two checks.
        max_class_share: Share of pixels of the most frequent class above which a prediction counts
            as collapsed, in (0, 1].
        max_divergence: Divergence of the class shares, in nats, above which they have drifted.
        min_disc_loss: A discriminator loss below this counts as zero.
        patience: Bad checks in a row until a warning.
    """

    priority = 'LOW'

    def __init__(
        self,
        interval: int = 50,
        max_class_share: float = 0.98,
        min_disc_loss: float = 1e-3,
        patience: int = 5,
        max_divergence: float = DRIFTED,
    ) -> None:
        check_integer('HealthHook.interval', interval, 1)
        check_integer('HealthHook.patience', patience, 1)
        check_number('HealthHook.max_class_share', max_class_share, '(0, 1]')
        check_number('HealthHook.min_disc_loss', min_disc_loss, '[0, inf)')
        check_number('HealthHook.max_divergence', max_divergence, '(0, inf)')
        self.interval = interval
        self.max_class_share = max_class_share
        self.min_disc_loss = min_disc_loss
        self.patience = patience
        self.max_divergence = max_divergence
        self._streaks: dict[str, int] = {}
        self._usual: list[dict[str, float]] = []  # scores of the first checks
        self._first: dict[str, int] = {}  # iteration since which a score has seen a collapse
        self._num_seen = 0
        self._largest: dict[str, torch.Tensor] = {}  # magnitude by name in the log, on its device

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Check, every ``interval`` iterations.

        Raises:
            FloatingPointError: A loss is NaN or infinite.
        """
        if self._num_seen < IDLE_ITERS:
            self._num_seen += 1
            for key, value in (outputs or {}).items():
                size = torch.as_tensor(value).detach().abs()
                largest = self._largest.get(key, size).to(size.device)
                self._largest[key] = torch.maximum(largest, size)
        if not self.every_n_train_iters(runner, self.interval):
            return
        # `float` waits for the device.
        logs = {key: float(value) for key, value in (outputs or {}).items()}
        lost = [
            f'{key}={value}'
            for key, value in logs.items()
            if 'loss' in key and not math.isfinite(value)
        ]
        if lost:
            raise FloatingPointError(
                f'HealthHook: expected finite losses in iteration {runner.iter + 1}, but got '
                f'{", ".join(lost)}; lower the learning rate or the loss weights, or clip '
                'gradients, then resume from an earlier checkpoint'
            )
        if not is_main_process():
            return
        self._check_discriminators(runner, logs)
        self._check_idle(runner)
        model = unwrap_model(runner.model)
        segments = hasattr(model, 'encode_decode')
        if segments and isinstance(data_batch, dict) and 'target' in data_batch:
            with preserve_state(model):
                prob = predict(model, first_image(model, data_batch, 'target'))  # (1, C, H, W)
            self._check_prediction(runner, prob)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Check the divergence of the class shares, where the validation has it."""
        if not is_main_process():
            return
        for key, value in (metrics or {}).items():
            if key.rpartition('/')[2] != DIVERGENCE:
                continue
            if self._repeated(key, value > self.max_divergence) == 1:
                runner.logger.warning(
                    f'HealthHook: {key} is {value:.2f} after {runner.iter} iterations, above '
                    f'{self.max_divergence:g}: the shares of the predicted classes have drifted '
                    "from the source's; look at pictures of the target, and compare earlier "
                    'checkpoints'
                )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Save what has been seen."""
        checkpoint[CHECKPOINT_KEY] = {
            'streaks': dict(self._streaks),
            'usual': [*self._usual],
            'first': dict(self._first),
            'num_seen': self._num_seen,
            'largest': {key: float(value) for key, value in self._largest.items()},
        }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take it up, if the training is resumed."""
        saved = checkpoint.get(CHECKPOINT_KEY)
        if not runner._resume or saved is None:  # another training begins from these weights
            return
        self._streaks, self._usual = dict(saved['streaks']), [*saved['usual']]
        self._first, self._num_seen = dict(saved['first']), saved['num_seen']
        self._largest = {key: torch.tensor(value) for key, value in saved['largest'].items()}

    def _check_prediction(self, runner: Runner, prob: torch.Tensor) -> None:
        """Warn of a collapse, and name the score that saw it first."""
        scores = prediction_scores(prob)
        begins = len(self._usual) < self.patience  # an untrained network is flat, too
        if begins:
            self._usual.append(scores)
        usual = {  # checkpoints of earlier versions lack the mutual information
            key: sum(each.get(key, value) for each in self._usual) / len(self._usual)
            for key, value in scores.items()
        }
        of_mean = scores['entropy'] + scores['mutual_information']
        uncertain = of_mean > 0.5 * math.log(prob.shape[1])  # not an image of one class
        flat = scores['mutual_information'] < FLAT * of_mean
        seen = {
            'class_share': scores['class_share'] > self.max_class_share,
            **{key: scores[key] < SHRUNK * usual[key] for key in ('effective_classes', 'entropy')},
            'mutual_information': flat and uncertain and not begins,
        }
        self._first = {
            key: self._first.get(key, runner.iter + 1) for key, bad in seen.items() if bad
        }
        # Entropy alone falls in any training that goes well.
        collapsed = any(bad for key, bad in seen.items() if key != 'entropy')
        first = min(self._first, key=lambda key: self._first[key], default='')
        values = ', '.join(
            f'{key} {value:.3g} (first {usual[key]:.3g})' for key, value in scores.items()
        )
        self._warn_if(
            runner,
            'target prediction',
            collapsed,
            f'is one class on {scores["class_share"]:.1%} of the image'
            f'{", and nearly the same at every pixel" if seen["mutual_information"] else ""}: '
            f'the model may have collapsed; {first} saw it first, in iteration '
            f'{self._first.get(first)}; {values}',
        )

    def _check_discriminators(self, runner: Runner, logs: dict[str, float]) -> None:
        accuracy: dict[str, float] = {}
        for key, value in logs.items():
            if key.startswith('disc.acc'):
                # A discriminator may guess one domain always: the worse accuracy counts.
                both = key.replace('source', '*').replace('target', '*')
                accuracy[both] = min(accuracy.get(both, 1.0), value)
            elif key.startswith('disc.') and 'loss' in key:
                stuck = value < self.min_disc_loss
                self._warn_if(runner, key, stuck, f'is {value:.1e}: nothing left to learn')
        for key, value in accuracy.items():
            self._warn_if(runner, key, value >= 1 - 1e-3, f'is {value:.3f}: always correct')

    def _check_idle(self, runner: Runner) -> None:
        """Name what never acted, once."""
        if self._num_seen < IDLE_ITERS or not self._largest:
            return
        idle = [
            f'regularizers.{name} logged nothing'
            for name in getattr(unwrap_model(runner.model), 'regularizers', ())
            if not any(name in key.split('.') for key in self._largest)
        ] + [
            f'{key} was 0'
            for key, size in self._largest.items()
            if ('loss' in key or key.endswith('_ratio')) and float(size) == 0
        ]
        self._largest.clear()
        for each in idle:
            runner.logger.warning(
                f'HealthHook: {each} in {IDLE_ITERS} iterations up to iteration {runner.iter + 1}: '
                'what it belongs to has not acted; correct its weight, domains, threshold or labels'
            )

    def _warn_if(self, runner: Runner, key: str, bad: bool, message: str) -> None:
        if self._repeated(key, bad) == self.patience:
            runner.logger.warning(
                f'HealthHook: {key} {message} ({self.patience} checks in a row, the last one in '
                f'iteration {runner.iter + 1})'
            )

    def _repeated(self, key: str, bad: bool) -> int:
        """Count bad checks in a row: a good one starts the count anew."""
        self._streaks[key] = self._streaks.get(key, 0) + 1 if bad else 0
        return self._streaks[key]
