"""Write the page about choosing without labels, from the results of benchmarks.

Every score chooses between checkpoints, methods and hyper-parameters; the page has its rank
correlation with the target's mIoU, and its regret.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.benchmark.selection import read_candidates
from mmseg_uda.benchmark.selection_page import format_selection
from mmseg_uda.config.tables import choose
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser

ROOT = Path(__file__).parents[2]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    results = ROOT / 'docs/benchmarks/results'
    add('results', nargs='*', type=Path, default=[results], help='files, or directories of them')
    add(
        '--without',
        nargs='+',
        default=[],
        metavar='METHOD',
        help='methods that are no candidates, such as those that learn from labels of the target',
    )
    add('--out', type=Path, default=ROOT / 'docs/benchmarks/selection.md', help='page to write')
    args = parser.parse_args(argv)
    if args.out.suffix != '.md':
        parser.error(f'argument --out: expected a name that ends in .md, but got {args.out}')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    files = [('results', path) for path in args.results if path.is_file()]
    check_output('--out', args.out, files)
    names = (path.relative_to(ROOT) if path.is_relative_to(ROOT) else path for path in args.results)
    command = shlex.join(['python', 'tools/analysis_tools/selection_study.py', *map(str, names)])
    if args.without:
        command += f' \\\n    --without {shlex.join(args.without)}'
    candidates = [*read_candidates(args.results)]
    known = {each.method for each in candidates}
    left_out = {choose('method', method, known, '--without') for method in args.without}
    text = format_selection([each for each in candidates if each.method not in left_out], command)
    with atomic_write(args.out, keep=True) as partial:
        partial.write_text(text, encoding='utf-8')
    print(args.out)


if __name__ == '__main__':
    run_main(main)
