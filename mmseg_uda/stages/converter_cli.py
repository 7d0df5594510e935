"""The command line that all of ``tools/dataset_converters`` share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mmengine.logging import print_log

from mmseg_uda.stages.label_conversion import LabelFormat, convert_dataset, find_jobs

__all__ = ['converter_parser', 'run_converter']


def converter_parser(description: str, gt_dir: str, img_dir: str) -> argparse.ArgumentParser:
    """The command line of every converter."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('data_root', type=Path, help='folder of the downloaded data set')
    parser.add_argument('--gt-dir', default=gt_dir, help='label folder below data_root')
    parser.add_argument('--img-dir', default=img_dir, help='image folder below data_root')
    parser.add_argument('-o', '--out-dir', type=Path, help='output folder (default: data_root)')
    parser.add_argument('--nproc', type=int, default=os.cpu_count() or 1, help='processes')
    parser.add_argument(
        '--overwrite', action='store_true', help='convert again what is already converted'
    )
    return parser


def run_converter(
    parser: argparse.ArgumentParser, args: argparse.Namespace, label_format: LabelFormat
) -> int:
    """Run a converter from its parsed command line.

    Returns:
        The exit status: 0, or 1 if a label failed. A wrong command line exits with 2.
    """
    out_dir = args.out_dir or args.data_root
    label_dir, image_dir = args.data_root / args.gt_dir, args.data_root / args.img_dir
    if args.nproc < 1:
        parser.error(f'--nproc got {args.nproc}; write 1 or more')
    if not label_dir.is_dir():
        parser.error(f'there is no folder {label_dir}; fix data_root or --gt-dir')
    jobs = find_jobs(label_format, label_dir, image_dir, out_dir / args.gt_dir)
    if not jobs:
        parser.error(f'no file in {label_dir} ends in {label_format.label_suffix}; fix --gt-dir')
    if jobs[0].image is None:
        _complain(f'no image folder {image_dir}: label sizes are not checked')
    try:
        results = convert_dataset(
            label_format, jobs, out_dir, nproc=args.nproc, overwrite=args.overwrite
        )
    except KeyboardInterrupt:
        _complain('\ninterrupted; run the same command to go on')
        return 130
    failed = [result for result in results if result.error]
    resumed = sum(result.resumed for result in results)
    print_log(
        f'{len(results) - len(failed) - resumed} labels converted, {resumed} were already, '
        f'{len(failed)} failed; lists and class statistics are in {out_dir}'
    )
    for result in failed:
        _complain(f'failed: {result.job.label}: {result.error}')
    return 1 if failed else 0


def _complain(message: str) -> None:
    sys.stderr.write(f'{message}\n')
