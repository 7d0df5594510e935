"""Plot logged values over training: one colour per run, one kind of line per key.

The default is the entropy of right (solid) and wrong (dashed) predictions in each validation,
Figure 4 of SAM; the config needs ``val_evaluator=[..., dict(type='EntropyMetric')]``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.config.signatures import advice
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser

Curve = dict[int, float]  # step -> value
LINES = ('-', '--', ':', '-.')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add = parser.add_argument
    logs_help = (
        'vis_data/scalars.json, or a working directory; values that were logged again after a '
        'resume replace the earlier ones'
    )
    keys = ['entropy/right', 'entropy/wrong']
    add('logs', nargs='+', metavar='LOG_OR_WORK_DIR', help=logs_help)
    add('--keys', nargs='+', default=keys, help='keys to plot (default: the entropies)')
    add('--labels', nargs='+', help="the runs' names (default: the arguments)")
    add('--title', default='')
    add('--out', default='curves.png', help='picture to write (png, pdf, svg)')
    args = parser.parse_args(argv)
    args.labels = args.labels or args.logs
    if len(args.labels) != len(args.logs):
        parser.error(
            f'--labels got {len(args.labels)} names for {len(args.logs)} runs; write one each'
        )
    if len(args.keys) > len(LINES):
        parser.error(f'--keys got {len(args.keys)} keys; write at most {len(LINES)}')
    return args


def find_logs(path: Path) -> list[Path]:
    """List the log files of a run in the order in which they were written.

    Raises:
        FileNotFoundError: There is none.
    """
    if path.is_file():
        return [path]
    # A working directory has a directory per start, named by its time.
    name = 'vis_data/scalars.json'
    logs = sorted(path.glob(f'*/{name}')) or sorted(path.glob(name))
    if not logs:
        raise FileNotFoundError(
            f'plot_curves: expected a log or a directory with */{name}, but got {path}; write the '
            'work_dir of a run'
        )
    return logs


def read_curves(path: Path) -> dict[str, Curve]:
    """Read all values that a run logged: key -> step -> value."""
    curves: dict[str, Curve] = {}
    for line in (line for log in find_logs(path) for line in log.read_text('utf-8').splitlines()):
        try:
            record = json.loads(line)
        except ValueError:  # a killed process may leave half a line
            continue
        if not isinstance(record, dict) or 'step' not in record:
            continue
        for key, value in record.items():
            if isinstance(value, (int, float)) and key not in ('step', 'iter', 'epoch'):
                curves.setdefault(key, {})[record['step']] = value
    return {key: dict(sorted(curve.items())) for key, curve in curves.items()}


def choose(curves: dict[str, Curve], keys: list[str], path: str) -> dict[str, Curve]:
    """Select the curves to plot.

    Raises:
        ValueError: The run did not log one of them.
    """
    if not curves:
        raise ValueError(
            f'plot_curves: expected lines of JSON with a step, but got none in {path}; write the '
            'work_dir of a run'
        )
    for key in keys:
        if key not in curves:
            raise ValueError(
                f'plot_curves: expected the key {key!r} in {path}, but got none; '
                f'{advice(key, curves)}'
            )
    return {key: curves[key] for key in keys}


def plot(runs: dict[str, dict[str, Curve]], title: str = '') -> plt.Figure:
    """Draw one picture of all runs."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout='constrained')
    for number, (name, curves) in enumerate(runs.items()):
        for line, (key, curve) in zip(LINES, curves.items()):
            # A line of one point would be invisible.
            style = dict(color=f'C{number % 10}', marker='o' if len(curve) == 1 else None)
            axes.plot(list(curve), list(curve.values()), line, label=f'{name}: {key}', **style)
    axes.set_xlabel('iteration')
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize='small')
    return figure


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    runs = {}
    for path, label in zip(args.logs, args.labels):
        if label in runs:
            raise ValueError(
                f'plot_curves: expected different --labels, but got {label!r} twice; write '
                'different names'
            )
        runs[label] = choose(read_curves(Path(path)), args.keys, path)
    figure = plot(runs, args.title)
    out = Path(args.out)
    with atomic_write(out, keep=True) as partial:
        figure.savefig(partial, format=out.suffix[1:] or 'png', dpi=150)
    plt.close(figure)
    for label, curves in runs.items():
        for key, curve in curves.items():
            step = list(curve)[-1]
            print(f'{label}: {key} {curve[step]:.4g} at {step} ({len(curve)} points)')
    print(args.out)


if __name__ == '__main__':
    run_main(main)
