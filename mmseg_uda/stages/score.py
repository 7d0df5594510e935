"""The stage that validates checkpoints of a training at fixed points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process

from mmseg_uda.artifacts.files import write_json
from mmseg_uda.stages.base import CheckpointStage, Resolve, Result, Stage
from mmseg_uda.stages.references import find_references
from mmseg_uda.stages.train import TrainStage
from mmseg_uda.utils.cli import build_runner

__all__ = ['ScoreStage']

REMEDY = (
    'write iterations whose checkpoints the training keeps (default_hooks.checkpoint.interval and '
    'max_keep_ckpts=-1)'
)


class ScoreStage(CheckpointStage):
    """Validates a training at some of its iterations; ``{name}`` is a file of their metrics.

    The sets and metrics are those of the config's validation. ``points`` are the iterations; the
    training must have kept their checkpoints beside ``checkpoint``.
    """

    kind = 'score'
    makes = 'metrics'
    required = ('config', 'checkpoint', 'points')
    fingerprint_keys = (
        'model',
        'data_preprocessor',
        'val_dataloader',
        'val_cfg',
        'val_evaluator',
        'custom_hooks',
    )

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        points = self.arguments['points']
        sound = isinstance(points, (list, tuple)) and points
        if not sound or not all(isinstance(each, int) and each > 0 for each in points):
            raise self.error('points', f'got {points!r}; write a list of iterations')
        for reference in find_references(self.arguments['checkpoint']):
            training = earlier.get(reference)
            if not isinstance(training, TrainStage):
                continue
            kept = _kept_iterations(training.load())
            if kept is not None and (lost := sorted(set(points) - kept)):
                raise self.error(
                    'points',
                    f'has {lost[0]}, but the training {reference!r} keeps the checkpoints of '
                    f'{", ".join(map(str, sorted(kept)))}; {REMEDY}',
                )
        for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
            if not self.load().get(key):
                raise self.error('config', f'has no {key}; write one')

    def run(self, resolve: Resolve, experiment: str) -> Result:
        out = self.directory / 'metrics.json'
        # The same recipe wrote it: what is there was cut off, and need not be computed again.
        scores: dict[str, Any] = json.loads(out.read_text('utf-8')) if out.is_file() else {}
        points = sorted(self.arguments['points'])
        for point in points:
            if str(point) in scores:
                continue
            cfg = self.load_to_run(resolve, f'{experiment}-{point}')
            cfg.load_from, cfg.resume = str(self._checkpoint_at(point, resolve)), False
            metrics = build_runner(cfg).val()
            scores[str(point)] = {key: float(value) for key, value in metrics.items()}
            barrier()  # no process reads the file while it is written
            if is_main_process():
                write_json(out, scores)
        return Result({'output': out}, scores[str(points[-1])])

    def _checkpoint_at(self, point: int, resolve: Resolve) -> Path:
        last = Path(self.checkpoint(resolve))
        path = last.with_name(f'iter_{point}.pth')
        if not path.is_file():
            raise self.error(
                'points',
                f'has {point}, but there is no {path}; {REMEDY}',
            )
        return path


def _kept_iterations(cfg: Config) -> set[int] | None:
    """Iterations of which a training keeps a checkpoint; None if it does not count them."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    last, interval = (cfg.get('train_cfg') or {}).get('max_iters'), hook.get('interval')
    if hook.get('by_epoch', True) or not isinstance(last, int) or not isinstance(interval, int):
        return None
    saved = [*range(interval, last + 1, interval)] if interval > 0 else []
    if hook.get('save_last', True) and last not in saved:
        saved.append(last)
    number = hook.get('max_keep_ckpts', -1)
    return set(saved[-number:] if number > 0 else saved)
