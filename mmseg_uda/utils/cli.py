"""What the command lines of train and test share, with the flags of MMSegmentation's tools."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import init_dist, is_distributed
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_uda.config.tables import read_config
from mmseg_uda.utils.configs import misspelt_names

__all__ = [
    'add_config_options',
    'add_launcher',
    'build_runner',
    'export_local_rank',
    'join_processes',
    'load_config',
]


def add_config_options(parser: ArgumentParser, rows: str | None = None) -> None:
    """Add ``--cfg-options``, and ``--row`` and ``--cell`` of a table of ablations.

    Args:
        parser: The tool's parser.
        rows: The number of rows, as argparse's ``nargs``.
    """
    parser.add_argument('--row', nargs=rows, help='row, if the config is a table of ablations')
    parser.add_argument('--cell', help='cell, if the config has several')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, for example train_cfg.max_iters=100; a list is '
        'written key="[a,b]" or key=a,b, quoted and without white space',
    )


def add_launcher(parser: ArgumentParser) -> None:
    """Add ``--launcher`` and the rank that old launchers pass."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by the launcher'
    )


def export_local_rank(args: Namespace) -> None:
    """Put the rank where mmengine looks for it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def load_config(args: Namespace) -> Config:
    """Read ``args.config``, or its row and cell, with options, launcher and working directory.

    The working directory is, in this order, ``--work-dir``, the config's ``work_dir``, and
    ``./work_dirs/<name of the config>``.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: There is no such row or cell, or a top-level name looks like a misspelt one of
            the runner's, which would be ignored in silence.
    """
    cfg = read_config(args.config, args.row, args.cell)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(cfg.filename).stem)
    _check_names(cfg)
    return cfg


def _check_names(cfg: Config) -> None:
    for name, similar in misspelt_names(cfg):
        raise ValueError(
            f'load_config: {cfg.filename} sets `{name}`, which nothing reads; write '
            f'`{similar}`, or choose another name'
        )


def join_processes(cfg: Config) -> None:
    """Connect the processes of ``cfg.launcher``; the runner then takes them as they are.

    mmengine's own way selects a GPU in every case; without one the processes meet over gloo.
    """
    if cfg.launcher == 'none' or is_distributed():
        return
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        torch.distributed.init_process_group('gloo')
    else:
        init_dist(cfg.launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {'backend': 'nccl'}))


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config: ``Runner``, or the class that ``runner_type`` names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
