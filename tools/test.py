"""Evaluate a checkpoint on the config's test split."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import Config

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.reads import FILES, read_paths
from mmseg_uda.utils.cli import build_runner, config_parser, load_config, run_main


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__, launcher=True)
    parser.add_argument('config', help='train config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='the directory to save the metrics, as JSON')
    parser.add_argument('--out', help='the directory to save predictions for offline evaluation')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='the directory to save painted images')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds to show each image')
    parser.add_argument('--tta', action='store_true', help='test time augmentation')
    return parser.parse_args(argv)


def enable_drawing(cfg: Config, args: argparse.Namespace) -> None:
    """Make the config's visualization hook draw, as ``--show`` and ``--show-dir`` say.

    Raises:
        ValueError: The config has no such hook.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            'test.py: --show and --show-dir found no default_hooks.visualization; '
            "write default_hooks.visualization=dict(type='SegVisualizationHook')"
        )
    hook.draw = True
    if args.show:
        hook.show = True
        hook.wait_time = args.wait_time
    if args.show_dir:
        cfg.visualizer.save_dir = args.show_dir


def enable_tta(cfg: Config) -> None:
    """Test with the config's ``tta_model`` and ``tta_pipeline``.

    Raises:
        ValueError: The config lacks one of them.
    """
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise ValueError(
            f'test.py: --tta found no {" and no ".join(missing)} in the config; '
            'take them from mmseg::_base_/default_runtime.py and a dataset of mmseg'
        )
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def check_outputs(cfg: Config, args: argparse.Namespace) -> None:
    """Check that the test writes nothing where data are read, and replaces no predictions.

    Raises:
        ValueError: Names the flag.
    """
    outputs = {'--work-dir': cfg.work_dir, '--out': args.out, '--show-dir': args.show_dir}
    for flag, path in outputs.items():
        if path is not None:
            check_output(flag, path, read_paths(cfg, but=FILES))
    if args.out is not None and any(Path(args.out).glob('*')):
        raise ValueError(
            f'--out: expected a new or an empty directory, but got {args.out!r}; write another one'
        )


def save_predictions(cfg: Config, directory: str) -> None:
    """Make the metric (each of them, if several) write its predictions."""
    evaluator = cfg.test_evaluator
    for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        metric['output_dir'] = directory
        metric['keep_results'] = True


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    check_outputs(cfg, args)
    if args.show or args.show_dir:
        enable_drawing(cfg, args)
    if args.tta:
        enable_tta(cfg)
    if args.out is not None:
        save_predictions(cfg, args.out)
    build_runner(cfg).test()


if __name__ == '__main__':
    run_main(main)
