"""Train a segmentor: one of this package's methods, or a stock one."""

from __future__ import annotations

import argparse
import logging

from mmengine.config import Config
from mmengine.logging import print_log

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.checkpoint import check_state
from mmseg_uda.stages.train import run_training
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.work_dir import open_work_dir, resume_latest


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__, launcher=True)
    parser.add_argument('config', help='train config file path')
    parser.add_argument('--work-dir', help='the directory to save logs and models')
    start = parser.add_mutually_exclusive_group()
    resume_help = 'go on from the latest readable checkpoint in the work directory, if there is one'
    start.add_argument('--resume', action='store_true', help=resume_help)
    overwrite_help = 'move what is in the work directory aside; nothing is deleted'
    start.add_argument('--overwrite', action='store_true', help=overwrite_help)
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    signal_help = 'when SIGTERM or SIGINT comes, end the iteration and save a checkpoint'
    parser.add_argument('--checkpoint-on-signal', action='store_true', help=signal_help)
    return parser.parse_args(argv)


def enable_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to float16 with a dynamic loss scale.

    Raises:
        ValueError: The optimizer wrapper is of a type that has no mixed precision.
    """
    wrapper = cfg.optim_wrapper
    if wrapper.get('constructor') == 'JointOptimWrapperConstructor':
        wrapper.dtype = 'float16'
        return
    kind = wrapper.get('type', 'OptimWrapper')
    if kind == 'AmpOptimWrapper':
        print_log(
            'AMP training is already enabled in the config.',
            logger='current',
            level=logging.WARNING,
        )
        return
    if kind != 'OptimWrapper':
        raise ValueError(
            f'train.py: --amp got optim_wrapper.type {kind!r}; write '
            "'OptimWrapper', or optim_wrapper.constructor="
            "'JointOptimWrapperConstructor'"
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.loss_scale = 'dynamic'


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    if args.amp:
        enable_amp(cfg)
    cfg.resume = args.resume
    with open_work_dir(cfg, args.resume, args.overwrite):
        # `--resume --cfg-options load_from=FILE` goes on from that file, as in MMSegmentation.
        if args.resume and 'load_from' not in (args.cfg_options or {}):
            resume_latest(cfg)
        elif args.resume and '://' not in str(cfg.load_from):
            check_state(cfg.load_from)
        run_training(cfg, args.checkpoint_on_signal)


if __name__ == '__main__':
    run_main(main)
