"""Plot logged values over training: one panel per kind of value (mIoU, losses, ratios, entropies).

Runs whose configs differ in the seed only become one line, their mean, with a band from the least
to the greatest. One colour per run, one kind of line per key; a single run has one colour per key.
"""

from __future__ import annotations

import argparse
import os.path as osp
from pathlib import Path

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.run_logs import RunLog, group_seeds
from mmseg_uda.config.signatures import advice
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.curves import LINES, default_keys, draw_panels, panels
from mmseg_uda.utils.parser import ToolParser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add = parser.add_argument
    logs_help = (
        'vis_data/scalars.json, or a working directory; values that were logged again after a '
        'resume replace the earlier ones'
    )
    keys_help = 'keys to plot (default: mIoU, losses, ratios, entropies and scores that are logged)'
    seeds_help = (
        'runs of one label are seeds of one method; without --labels, all runs are (default: those '
        'whose configs differ in the seed only)'
    )
    add('logs', nargs='+', metavar='LOG_OR_WORK_DIR', help=logs_help)
    add('--keys', nargs='+', help=keys_help)
    add('--labels', nargs='+', help="the runs' names (default: the arguments)")
    add('--seeds', action='store_true', help=seeds_help)
    add('--title', default='')
    add('--out', default='curves.png', help='picture to write (png, pdf, svg)')
    args = parser.parse_args(argv)
    if args.labels and len(args.labels) != len(args.logs):
        parser.error(
            f'--labels got {len(args.labels)} names for {len(args.logs)} runs; write one each'
        )
    for title, keys in panels(args.keys or []).items():
        if len(args.logs) > 1 and len(keys) > len(LINES):
            parser.error(
                f'--keys: expected at most {len(LINES)} keys in one panel of several runs, but got '
                f'{len(keys)} for {title!r}; write fewer'
            )
    return args


def group(args: argparse.Namespace) -> dict[str, list[RunLog]]:
    """Read the runs, and put the seeds of one method together.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: A label is there twice, and ``--seeds`` is not.
    """
    runs = [RunLog(name, Path(path)) for name, path in zip(args.labels or args.logs, args.logs)]
    if not args.labels:
        if args.seeds:
            return {osp.commonpath(args.logs) or 'all': runs}
        return group_seeds(runs)
    groups: dict[str, list[RunLog]] = {}
    for run in runs:
        if run.name in groups and not args.seeds:
            raise ValueError(
                f'plot_curves: expected different --labels, but got {run.name!r} twice; write '
                'different names, or --seeds'
            )
        groups.setdefault(run.name, []).append(run)
    return groups


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    runs = group(args)
    for run in (each for seeds in runs.values() for each in seeds):
        for key in args.keys or ():
            if key not in run.curves:
                raise ValueError(
                    f'plot_curves: expected the key {key!r} in {run.path}, but got none; '
                    f'{advice(key, run.curves)}'
                )
    groups = {label: [run.curves for run in seeds] for label, seeds in runs.items()}
    keys = args.keys or default_keys(groups)
    figure = draw_panels(groups, keys, args.title)
    out = Path(args.out)
    with atomic_write(out, keep=True) as partial:
        figure.savefig(partial, format=out.suffix[1:] or 'png', dpi=150)
    for run in (each for seeds in runs.values() for each in seeds):
        for key in keys:
            if key in run.curves:
                curve = run.curves[key]
                step = [*curve][-1]
                count = f'{len(curve)} point{"s" * (len(curve) > 1)}'
                print(f'{run.name}: {key} {curve[step]:.4g} at {step} ({count})')
    print(args.out)


if __name__ == '__main__':
    run_main(main)
