"""Run the stages of a method, from raw data to the final number.

What is done is skipped, what was cut off goes on; see docs/pipelines.md.
"""

from __future__ import annotations

import argparse

from mmengine.config import Config

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.utils.cli import config_parser, join_processes, run_main


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__, rows='+', launcher=True)
    parser.add_argument('config', help='a *_pipeline.py, or a table: ablations.py')
    parser.add_argument(
        '--work-dir', help='the directory to write to (default: work_dirs/<name of the config>)'
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='check everything and print what would be done'
    )
    parser.add_argument(
        '--from', dest='start', metavar='STAGE', help='run this stage and all after it again'
    )
    parser.add_argument('--until', metavar='STAGE', help='run none after this stage')
    signal_help = 'trainings that SIGTERM or SIGINT stops save a checkpoint first'
    parser.add_argument('--checkpoint-on-signal', action='store_true', help=signal_help)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    pipeline = read_pipeline(
        args.config,
        args.cfg_options,
        args.work_dir,
        args.launcher,
        args.row,
        args.cell,
        args.checkpoint_on_signal,
    )
    if args.dry_run:
        # First: the plan of a stage needs the data, which whoever asks may not have yet.
        names = ', '.join(pipeline.stages)
        print(f'{len(pipeline.stages)} stages, in {pipeline.context.work_dir}: {names}', flush=True)
        for step in pipeline.plan(args.start, args.until):
            print(pipeline.describe(step))
        return
    join_processes(Config(dict(launcher=args.launcher, env_cfg=pipeline.env_cfg)), args.local_rank)
    pipeline.run(args.start, args.until)


if __name__ == '__main__':
    run_main(main)
