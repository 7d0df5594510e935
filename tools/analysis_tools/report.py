"""Write one HTML page about runs: scores, curves, pictures, configs, commands.

The page needs no other file and no network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.report import format_report, read_source
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    add = parser.add_argument
    paths_help = (
        'working directory of a training or a pipeline, or results of a benchmark: a JSON file or '
        'a directory of them'
    )
    add('paths', nargs='+', type=Path, metavar='WORK_DIR', help=paths_help)
    add('--title', default='Report', help='heading of the page')
    add('--out', type=Path, default=Path('report.html'), help='page to write')
    args = parser.parse_args(argv)
    if args.out.suffix not in ('.html', '.htm'):
        parser.error(f'argument --out: expected a name that ends in .html, but got {args.out}')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    files = [('WORK_DIR', path) for path in args.paths if path.is_file()]
    check_output('--out', args.out, files)
    text = format_report([read_source(path) for path in args.paths], args.title)
    with atomic_write(args.out, keep=True) as partial:
        partial.write_text(text, encoding='utf-8')
    print(args.out)


if __name__ == '__main__':
    run_main(main)
