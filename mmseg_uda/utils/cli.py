"""Parsers, configs and exit codes that the command lines share; flags as in MMSegmentation."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import traceback
import weakref
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed, is_main_process, master_only
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from torch.utils.data import DataLoader

from mmseg_uda.artifacts.files import atomic_write, explain_full_disk, is_disk_full
from mmseg_uda.compat import hidden_torchvision
from mmseg_uda.config.check import check_runnable, require_sound
from mmseg_uda.config.options import merge_options
from mmseg_uda.config.problems import ConfigError
from mmseg_uda.config.tables import read_config
from mmseg_uda.utils.errors import describe_error
from mmseg_uda.utils.parser import Options, ToolParser
from mmseg_uda.utils.processes import connect_on_cpu, end_workers
from mmseg_uda.utils.progress import end_line
from mmseg_uda.utils.signals import Stop, stop_on_signals
from mmseg_uda.utils.terminal import prepare_terminal

__all__ = [
    'build_runner',
    'config_parser',
    'join_processes',
    'load_config',
    'run_main',
]


def config_parser(
    description: str | None, rows: str | None = None, launcher: bool = False
) -> ToolParser:
    """Make a tool's parser, with ``--cfg-options``, and ``--row`` and ``--cell`` of a table.

    Args:
        description: The tool's docstring.
        rows: The number of rows, as argparse's ``nargs``.
        launcher: Add ``--launcher``, too, and the rank that old launchers pass.
    """
    parser = ToolParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--row', nargs=rows, help='row, if the config is a table of ablations')
    add('--cell', help='cell, if the config has several')
    add(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='override settings of the config, for example train_cfg.max_iters=100; a list is '
        'written key="[a,b]" or key=a,b, quoted and without white space',
    )
    if launcher:
        kinds = ['none', 'pytorch', 'slurm', 'mpi']
        add('--launcher', choices=kinds, default='none', help='job launcher')
        add('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    return parser


def load_config(args: Namespace) -> Config:
    """Read and check ``args.config``, or its row and cell, with all options of the command line.

    With a launcher the processes are connected, too.

    The working directory is, in this order, ``--work-dir``, the config's ``work_dir``, and
    ``./work_dirs/<name of the config>``. Tools may lack the flags of launcher and directory.

    Raises:
        FileNotFoundError: There is no such config.
        ConfigError: Lists everything that is wrong in it.
        ValueError: There is no such row or cell.
    """
    cfg = read_config(args.config, args.row, args.cell)
    merge_options(cfg, args.cfg_options or {})
    cfg.launcher = getattr(args, 'launcher', 'none')
    if getattr(args, 'work_dir', None) is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(cfg.filename).stem)
    require_sound(cfg)
    if 'launcher' in args:
        join_processes(cfg, args.local_rank)
    return cfg


def run_main(main: Callable[[], Any]) -> None:
    """Run a tool and end the process with its exit code; an error is one line.

    The traceback goes to the log file of the run, if there is one, and to the terminal with
    ``--traceback`` or ``MMSEG_UDA_TRACEBACK=1``.

    Args:
        main: The tool. An integer that it returns is the exit code; all else, such as what a cost
            tool measured, is for callers.

    Exit codes:
        2 for what the user wrote (an error that this package raises on purpose), 1 for what broke
        elsewhere, 130 for SIGINT (Ctrl-C), 143 for SIGTERM, and 141 if the reader of the output
        ended first (``| head``).
    """
    wanted = '--traceback' in sys.argv or os.environ.get('MMSEG_UDA_TRACEBACK', '0') != '0'
    sys.argv[:] = [argument for argument in sys.argv if argument != '--traceback']
    prepare_terminal(MMLogger.get_current_instance())
    try:
        with stop_on_signals(), _full_disk_ends_logging():
            result = main()
            sys.stdout.flush()
            sys.exit(result if isinstance(result, int) else None)
    except KeyboardInterrupt as error:
        stop = error if isinstance(error, Stop) else Stop(signal.SIGINT)
        if is_main_process():  # all processes of a launcher are told
            sys.stderr.write(f'\n{stop}\n')
        sys.exit(stop.exit_code)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _drop_unread_output():
            sys.exit(128 + signal.SIGPIPE)
        _log_traceback()
        end_line()
        if wanted:
            raise
        if isinstance(error, ConfigError):  # a line for each mistake
            sys.stderr.write(f'{error}\n')
            sys.exit(2)
        line, refused = describe_error(error, Path(sys.argv[0]).resolve().parent)
        if is_disk_full(error) and getattr(error, 'filename', None) is None:  # by others
            files = [Path(handler.baseFilename).parent for handler in _log_files()]
            line += f'; free space in {files[0] if files else Path.cwd()}, or write elsewhere'
        sys.stderr.write(f'error: {line} (--traceback shows where)\n')
        sys.exit(2 if refused else 1)


def _drop_unread_output() -> bool:
    """Discard further output if nobody reads it; False if another pipe than stdout broke."""
    try:
        sys.stdout.write('\n')  # a flush alone may find nothing left to write
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


@contextmanager
def _full_disk_ends_logging() -> Iterator[None]:
    """Raise the error of a log file on a full disk; logging prints a traceback for each line."""
    handle_error = logging.Handler.handleError

    def handle(handler: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is None or not is_disk_full(error) or not hasattr(handler, 'baseFilename'):
            handle_error(handler, record)
            return
        with explain_full_disk(handler.baseFilename):
            raise error

    logging.Handler.handleError = handle  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        logging.Handler.handleError = handle_error  # type: ignore[method-assign]


def _log_files() -> list[logging.FileHandler]:
    handlers = MMLogger.get_current_instance().handlers
    return [each for each in handlers if isinstance(each, logging.FileHandler)]


def _log_traceback() -> None:
    for handler in _log_files():
        if handler.stream is not None:
            with suppress(OSError):  # of a full disk
                handler.stream.write(traceback.format_exc())
                handler.stream.flush()


def join_processes(cfg: Config, local_rank: int) -> None:
    """Connect the processes of ``cfg.launcher``; the runner then takes them as they are.

    mmengine's own way selects a GPU in every case; without one the processes meet over gloo.
    """
    os.environ.setdefault('LOCAL_RANK', str(local_rank))  # where mmengine looks for it
    if cfg.launcher == 'none' or is_distributed():
        return
    if not torch.cuda.is_available():
        connect_on_cpu(cfg.launcher)
        # mmengine's default wrapper selects a GPU, too.
        unused = cfg.get('find_unused_parameters', False)
        wrapper = dict(type='UDADistributedDataParallel', find_unused_parameters=unused)
        cfg.setdefault('model_wrapper_cfg', wrapper)
    else:
        init_dist(cfg.launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {'backend': 'nccl'}))


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config: ``Runner``, or the class that ``runner_type`` names.

    Raises:
        ConfigError: A part is missing without which no runner is built.
    """
    problems = check_runnable(cfg)
    if problems:
        raise ConfigError(problems)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else _Runner.from_cfg(cfg)


def _settings(text: str) -> list[str]:
    """Lines of a written config but those that say where a training goes on."""
    return [line for line in text.splitlines() if not re.match('(load_from|resume) ?=', line)]


class _Runner(Runner):
    """Lets the log processor prepare the logger, and logs no version that cannot be read.

    Only a training writes its config into ``work_dir``, and never over the file that it was read
    from: a test of its checkpoint with other options would replace what describes the weights.

    What has run leaves no workers behind: the next stage of a pipeline would wait for them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._loaders = weakref.WeakSet[DataLoader[Any]]()
        super().__init__(*args, **kwargs)

    def build_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        """Build a dataloader, whose workers end with the training, validation or test."""
        loader = super().build_dataloader(*args, **kwargs)
        self._loaders.add(loader)
        return loader

    @contextmanager
    def _ended_workers(self) -> Iterator[None]:
        try:
            yield
        finally:
            for loader in self._loaders:
                end_workers(loader)

    def dump_config(self) -> None:
        """Leave the work directory as it is; ``vis_data/config.py`` has the config of every run."""

    def train(self) -> Any:
        """Write the config, then train."""
        self._write_config()
        with self._ended_workers():
            return super().train()

    def val(self) -> Any:
        """Validate."""
        with self._ended_workers():
            return super().val()

    def test(self) -> Any:
        """Test."""
        with self._ended_workers():
            return super().test()

    @master_only
    def _write_config(self) -> None:
        name = Path(self.cfg.filename).name if self.cfg.filename else f'{self.timestamp}.py'
        path = Path(self.work_dir, name)
        if self.cfg.filename and path.resolve() == Path(self.cfg.filename).resolve():
            return
        text = self.cfg.dump()
        if self.cfg.get('resume') and path.is_file():
            before = path.read_text(encoding='utf-8', errors='replace')
            if _settings(before) == _settings(text):
                return  # the config of one training, however often it was stopped
        with atomic_write(path, keep=True) as partial:
            partial.write_text(text, encoding='utf-8')

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        if hasattr(self.log_processor, 'prepare'):
            self.log_processor.prepare(logger)
        return logger

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        with hidden_torchvision():
            super()._log_env(env_cfg)
