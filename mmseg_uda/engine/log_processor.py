"""Short lines about training and validation on the terminal."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import LogProcessor, Runner
from mmseg.registry import LOG_PROCESSORS

from mmseg_uda.utils.terminal import LogLine, prepare_terminal, show_tables

__all__ = ['TerminalLogProcessor']

PAUSE = 10.0  # seconds between two lines of a validation, of which there are ten at most
MOST = 6  # metrics in a line
RATES = ('lr', 'student.lr')
NAMES = dict(val='validation', test='test')


@LOG_PROCESSORS.register_module()
class TerminalLogProcessor(LogProcessor):
    """Writes one short line to the terminal where the log file gets mmengine's full one.

    A line of training has the iteration, the remaining time, the sum of losses, the last mIoU, the
    learning rate of the student and, on a GPU, the memory. Config, environment, hooks, each loss
    and, during training, the tables of classes are in the log file alone. ``scalars.json`` is as
    with mmengine's processor.

    The terminal is prepared by the tools of this package; with other ones, or with
    ``compact=False``, it shows mmengine's log.

    Args:
        compact: False for mmengine's log on the terminal, too.
        **kwargs: Arguments of :class:`mmengine.runner.LogProcessor`.

    Example:
        Mmengine's log in one run::

            python tools/train.py CONFIG --cfg-options log_processor.compact=False
    """

    def __init__(self, compact: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.compact = compact
        self._logger: MMLogger | None = None
        self._shown = (time.monotonic(), 0)  # time and tenth of the last line of a validation

    def prepare(self, logger: MMLogger) -> None:
        """Shorten what a runner's logger writes to the terminal, and name the file."""
        if self.compact:
            self._logger = logger
            prepare_terminal(logger)
            logger.info(f'log with config, environment and all losses: {logger.log_file}')

    def get_log_after_iter(
        self, runner: Runner, batch_idx: int, mode: str
    ) -> tuple[dict[str, Any], str]:
        """Collect what is logged after an iteration, as mmengine does, and add the short line."""
        tag, text = super().get_log_after_iter(runner, batch_idx, mode)
        if self._logger is None:
            return tag, text
        if mode != 'train':
            return tag, LogLine(text, self._progress(runner, batch_idx, mode))
        self._shown = (time.monotonic(), 0)
        show_tables(self._logger, False)
        done = self._get_iter(runner, batch_idx)
        if self.by_epoch:
            total = self._get_dataloader_size(runner, mode)
            parts = [f'epoch {runner.epoch + 1}/{runner.max_epochs}', f'iter {done}/{total}']
        else:
            parts = [f'iter {done:>{len(str(runner.max_iters))}}/{runner.max_iters}']
        parts += [_remaining(runner)]
        parts += [f'loss {tag["loss"]:.4g}'] if 'loss' in tag else []
        parts += [_last_iou(runner), _rate(tag)]
        parts += [f'memory {tag["memory"] / 1024:.1f} GiB'] if 'memory' in tag else []
        return tag, LogLine(text, '  '.join(filter(None, parts)))

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict[str, Any], str]:
        """Collect the metrics of a validation or a test, and add the short line."""
        tag, text = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        self._shown = (time.monotonic(), 0)
        if self._logger is None:
            return tag, text
        metrics = [
            f'{key} {value:.4g}'
            for key, value in sorted(tag.items(), key=lambda item: not item[0].endswith('mIoU'))
            if isinstance(value, (int, float))
            and not key.endswith('time')
            and not key.rpartition('/')[2].startswith(('IoU_', 'Acc_'))
        ]
        # A tested model has no training, and asking for its iteration would build one.
        trained = mode == 'val' and not isinstance(runner._train_loop, (dict, type(None)))
        title = NAMES[mode] + (f' at {runner.iter}' if trained else '')
        more = f'  and {len(metrics) - MOST} more' if len(metrics) > MOST else ''
        return tag, LogLine(text, f'{title}: {"  ".join(metrics[:MOST])}{more}')

    def _progress(self, runner: Runner, batch_idx: int, mode: str) -> str:
        """A line about a validation; empty unless the last one is long ago."""
        done, total = batch_idx + 1, self._get_dataloader_size(runner, mode)
        tenth, now = 10 * done // total, time.monotonic()
        if now - self._shown[0] < PAUSE or tenth == self._shown[1]:
            return ''
        self._shown = (now, tenth)
        return f'{NAMES[mode]} {done}/{total}  {_remaining(runner)}'


def _remaining(runner: Runner) -> str:
    seconds = runner.message_hub.runtime_info.get('eta')
    return '' if seconds is None else f'eta {datetime.timedelta(seconds=int(seconds))}'


def _last_iou(runner: Runner) -> str:
    """The mIoU of the last validation; of several sets, the target's or the first one's."""
    scalars = runner.message_hub.log_scalars
    keys = [key for key in scalars if key.startswith('val/') and key.endswith('mIoU')]
    if not keys:
        return ''
    key = min(keys, key=len)
    return f'{key.removeprefix("val/")} {float(scalars[key].current()):.2f}'


def _rate(tag: Mapping[str, Any]) -> str:
    keys = [*RATES, *(key for key in tag if key.endswith('.lr'))]
    return next((f'lr {tag[key]:.2e}' for key in keys if key in tag), '')
