"""Run a benchmark of methods, pairs and seeds, and write its pages; see docs/benchmarks.

What is done is skipped, what was cut off goes on. Pages and plots are made of the result files
alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.benchmark import read_benchmark
from mmseg_uda.benchmark.report import write_report
from mmseg_uda.benchmark.results import Results
from mmseg_uda.benchmark.run import Harness
from mmseg_uda.pipeline.reuse import read_reuse
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser, at_least
from mmseg_uda.utils.work_dir import lock_directory

ROOT = Path(__file__).parents[1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('benchmark', help='its config, for example configs/benchmarks/small_real.py')
    add('--only', nargs='+', metavar='NAME', help='levels, pairs, methods, PAIR/METHOD or runs')
    add('--list', action='store_true', help='print what is done, stale or missing, and stop')
    add('--report', action='store_true', help='write pages and plots only')
    add('--jobs', type=at_least(1), default=1, help='runs at once')
    add('--threads', type=at_least(1), default=1, help='threads of each run')
    add('--nice', type=int, default=0, help='niceness of each run')
    add('--no-cost', action='store_true', help='leave out what an iteration costs')
    add('--reuse', nargs='+', default=[], metavar='DIR', help='pipelines whose stages are taken')
    add('--work-dir', help='directory of the runs (default: work_dirs/<benchmark>)')
    add('--out', default=str(ROOT / 'docs/benchmarks'), help='directory of results and pages')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    reuse = [str(path) for path in read_reuse('--reuse', args.reuse)]
    if Path(args.out).is_file():
        raise ValueError(f'--out: expected a directory, but got the file {args.out}')
    benchmark = read_benchmark(args.benchmark)
    runs = benchmark.select(args.only)
    results = Results(benchmark, Path(args.out))
    if args.report:
        print(write_report(results))
        return 0
    if benchmark.device == 'cuda' and not args.list and not torch.cuda.is_available():
        raise ValueError(
            f'{args.benchmark}: expected a GPU, but found none; run one cell on this machine by '
            'tools/run_pipeline.py --cell CELL --cfg-options stages.NAME.device=cpu'
        )
    work_dir = Path(args.work_dir or Path('work_dirs', benchmark.name)).resolve()
    tool = ROOT / 'tools/run_pipeline.py'
    numbers = (args.jobs, args.threads, args.nice)
    harness = Harness(benchmark, results, work_dir, tool, *numbers, reuse, not args.no_cost)
    if args.list:
        for run in runs:
            print(f'{results.state(run):<8} {run.name:<32} {harness.command(run)}')
        return 0
    with lock_directory(work_dir, 'benchmark.lock', 'benchmark'):
        failed = harness.run(runs, lambda line: print(line, flush=True))
    print(write_report(results))
    return 1 if failed else 0


if __name__ == '__main__':
    run_main(main)
