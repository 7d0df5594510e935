"""The stage that trains: it resumes, validates what was due, and knows its checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmseg_uda.artifacts.checkpoint import find_checkpoints
from mmseg_uda.config.check import check_runnable
from mmseg_uda.config.places import RUNNER_NAMES
from mmseg_uda.config.selection import save_best_of, selects_by_target_labels
from mmseg_uda.engine.hooks import StopHook
from mmseg_uda.stages.base import ConfigStage, Resolve, Result, Stage
from mmseg_uda.utils.cli import build_runner
from mmseg_uda.utils.terminal import show_tables
from mmseg_uda.utils.work_dir import TRAIN_LOCK, lock_directory, resume_latest

__all__ = ['TrainStage', 'run_training']

# Names that do not change what is trained.
UNRECORDED = frozenset(
    {'work_dir', 'launcher', 'log_level', 'log_processor', 'experiment_name', 'resume'}
    | {'visualizer', 'test_dataloader', 'test_cfg', 'test_evaluator'}
)
UNRECORDED_HOOKS = frozenset({'timer', 'logger', 'visualization'})


class TrainStage(ConfigStage):
    """Trains a config; ``{name}`` is the last checkpoint, ``{name.best}`` that of ``save_best``.

    With ``select='target_labels'`` in the pipeline, ``{name}`` is the best by ``metric``, or by the
    config's own ``save_best``, on the target's validation split. A config whose ``save_best`` takes
    no labels of the target keeps its choice.
    """

    kind = 'train'
    makes = 'checkpoint'
    initialises = True
    optional: ClassVar[tuple[str, ...]] = ('options', 'metric')
    unrecorded = ('config', 'options', 'metric')  # a metric that counts is in save_best

    def load(self, resolve: Resolve | None = None) -> Config:
        cfg = super().load(resolve)
        if self.context.select == 'target_labels' and not save_best_of(cfg):
            best = dict(save_best=self.arguments.get('metric', 'mIoU'), rule='greater')
            cfg.merge_from_dict({'default_hooks.checkpoint': best})
        return cfg

    def parts(self) -> Mapping[str, str]:
        best = save_best_of(self.load())
        return {'output': 'checkpoint', **({'best': 'checkpoint'} if best else {})}

    def labelled_parts(self) -> Collection[str]:
        if not selects_by_target_labels(self.load()):
            return ()
        return ('output', 'best') if self.context.select == 'target_labels' else ('best',)

    def fingerprint(self, cfg: Config) -> dict[str, Any]:
        keys = RUNNER_NAMES - UNRECORDED
        parts = {key: value for key, value in cfg.to_dict().items() if key in keys}
        wrapper = dict(parts.get('optim_wrapper') or {})
        if wrapper.get('type') == 'JointOptimWrapperDict':
            del wrapper['type']  # its constructor makes nothing else
            parts['optim_wrapper'] = wrapper
        hooks = parts.get('default_hooks') or {}
        parts['default_hooks'] = {
            key: hook for key, hook in hooks.items() if key not in UNRECORDED_HOOKS
        }
        return parts

    def check(self, earlier: Mapping[str, Stage]) -> None:
        super().check(earlier)
        cfg = self.load()
        if not cfg.get('train_dataloader') or not cfg.get('train_cfg'):
            raise self.error(
                'config', 'has no train_dataloader or no train_cfg; write a config of a training'
            )
        self.refuse(check_runnable(cfg))
        hook = self._checkpoint_hook(cfg)
        if hook.get('out_dir'):
            raise self.error(
                'config',
                f'has default_hooks.checkpoint.out_dir={hook["out_dir"]!r}; leave it out: a stage '
                'writes into its own directory',
            )
        best = hook.get('save_best')
        if isinstance(best, (list, tuple)) and len(best) > 1:
            raise self.error(
                'config',
                f'has default_hooks.checkpoint.save_best={best!r}; write one metric, so that '
                '{stage.best} is one checkpoint',
            )

    @staticmethod
    def _checkpoint_hook(cfg: Config) -> dict[str, Any]:
        return (cfg.get('default_hooks') or {}).get('checkpoint') or {}

    def run(self, resolve: Resolve, experiment: str) -> Result:
        cfg = self.load_to_run(resolve, experiment)
        with lock_directory(self.directory, TRAIN_LOCK, 'training'):
            resume_latest(cfg)
            runner, metrics = run_training(cfg, self.context.checkpoint_on_signal)
        barrier()  # the first process writes the checkpoints
        found = find_checkpoints(self.directory)
        if not found:
            raise self.error(
                'config',
                'ended its training without a checkpoint; correct default_hooks.checkpoint',
            )
        outputs = {'output': found[0]}
        if 'best_ckpt' in runner.message_hub.runtime_info:
            # A directory that was moved since then is not where the resumed message hub thinks.
            outputs['best'] = self.directory / Path(runner.message_hub.get_info('best_ckpt')).name
        if 'output' in self.labelled_parts():
            if 'best' not in outputs:
                raise self.error(
                    'config',
                    'ended its training without a best checkpoint; write a val_interval of at most '
                    "max_iters, or select='last'",
                )
            outputs['output'] = outputs['best']
        return Result(outputs, metrics)


def run_training(
    cfg: Config, checkpoint_on_signal: bool = False
) -> tuple[Runner, dict[str, float]]:
    """Train a config; a resumed training begins with the validation that was cut off.

    Args:
        cfg: The config.
        checkpoint_on_signal: Add a :class:`StopHook`.

    Returns:
        The runner, and the metrics of the last validation.
    """
    runner = build_runner(cfg)
    validation = _ValidationHook(resumed=bool(cfg.get('resume')))
    if checkpoint_on_signal:
        runner.register_hook(StopHook())
    runner.register_hook(validation)
    show_tables(runner.logger, False)  # the log file has one for each validation
    runner.train()
    return runner, validation.metrics


class _ValidationHook(Hook):
    """Keeps the last validation's metrics, and repeats one that was cut off.

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
