"""Training as a stage: it resumes, validates what was due, and knows its checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.stages.base import ConfigStage, Lookup, Result, Stage
from mmseg_uda.utils.clear_errors import clear_errors
from mmseg_uda.utils.cli import build_runner
from mmseg_uda.utils.configs import RUNNER_NAMES
from mmseg_uda.utils.processes import on_main

__all__ = ['TrainStage', 'find_checkpoints']

# Names that do not change what is trained.
NOT_COUNTED = frozenset(
    {
        'work_dir',
        'launcher',
        'log_level',
        'log_processor',
        'experiment_name',
        'resume',
        'visualizer',
        'test_dataloader',
        'test_cfg',
        'test_evaluator',
    }
)
HOOKS_NOT_COUNTED = frozenset({'timer', 'logger', 'visualization'})
NUMBERED = re.compile(r'(?!best_).*_(\d+)\.pth')


class TrainStage(ConfigStage):
    """Trains a config; ``{name}`` is the last checkpoint, ``{name.best}`` that of ``save_best``."""

    kind = 'train'
    makes = 'checkpoint'
    initialises = True

    def parts(self) -> Mapping[str, str]:
        best = self._checkpoint_hook(self.load()).get('save_best')
        return {'output': 'checkpoint', **({'best': 'checkpoint'} if best else {})}

    def counted(self, cfg: Config) -> dict[str, Any]:
        parts = {
            key: value for key, value in cfg.to_dict().items() if key in RUNNER_NAMES - NOT_COUNTED
        }
        hooks = parts.get('default_hooks') or {}
        parts['default_hooks'] = {
            key: hook for key, hook in hooks.items() if key not in HOOKS_NOT_COUNTED
        }
        return parts

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        cfg = self.load()
        if not cfg.get('train_dataloader') or not cfg.get('train_cfg'):
            raise self.error(
                'config', 'has no train_dataloader or no train_cfg; write a config of a training'
            )
        hook = self._checkpoint_hook(cfg)
        if hook.get('out_dir'):
            raise self.error(
                'config',
                f'has default_hooks.checkpoint.out_dir={hook["out_dir"]!r}; '
                'leave it out: what a stage writes is in its own folder',
            )
        best = hook.get('save_best')
        if isinstance(best, (list, tuple)) and len(best) > 1:
            raise self.error(
                'config',
                f'has default_hooks.checkpoint.save_best={best!r}; write '
                'one metric, so that {stage.best} is one checkpoint',
            )

    @staticmethod
    def _checkpoint_hook(cfg: Config) -> dict[str, Any]:
        return (cfg.get('default_hooks') or {}).get('checkpoint') or {}

    def run(self, lookup: Lookup, experiment: str) -> Result:
        cfg = self.load_to_run(lookup, experiment)
        latest = on_main(lambda: _latest_readable(self.folder))
        cfg.resume = latest is not None
        if latest is not None:  # else from `load_from`, if the config has it
            cfg.load_from = latest
        watch = _Watch(resumed=cfg.resume)
        with clear_errors(cfg):
            runner = build_runner(cfg)
            runner.register_hook(watch)
            runner.train()
        barrier()
        found = find_checkpoints(self.folder)
        if not found:
            raise self.error(
                'config',
                'ended its training without a checkpoint; correct default_hooks.checkpoint',
            )
        outputs = {'output': found[0]}
        if 'best_ckpt' in runner.message_hub.runtime_info:
            # A folder that was moved since then is not where the resumed message hub thinks.
            outputs['best'] = self.folder / Path(runner.message_hub.get_info('best_ckpt')).name
        return Result(outputs, watch.metrics)


class _Watch(Hook):
    """Keeps the last validation's metrics, and makes up for one that was cut off.

    A checkpoint is written before the validation of its iteration. Resumed from it, a runner goes
    on with the next iteration and would not know whether this one was the best.
    """

    priority = 'LOWEST'  # after the checkpoint hook knows the best one so far

    def __init__(self, resumed: bool) -> None:
        self.resumed = resumed
        self.metrics: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        if self.resumed and runner.val_loop is not None and self._is_due(runner):
            runner.val_loop.run()

    def _is_due(self, runner: Runner) -> bool:
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        return 0 < done >= loop.val_begin and (done % loop.val_interval == 0 or done == last)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.metrics = {key: float(value) for key, value in (metrics or {}).items()}


def find_checkpoints(folder: Path) -> list[Path]:
    """Numbered checkpoints of a training, the latest first."""
    found = [
        (int(match[1]), path)
        for path in folder.glob('*.pth')
        if (match := NUMBERED.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def _latest_readable(folder: Path) -> str | None:
    """The latest checkpoint that is whole: a killed process may leave a part of one."""
    for path in find_checkpoints(folder):
        try:
            load_checkpoint(path)
        except ValueError:
            continue
        return str(path)
    return None
