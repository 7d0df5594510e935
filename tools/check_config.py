"""Print the mistakes in configs of trainings, pipelines and tables; data and weights are not read.

For each config it prints "ok", or one line for each mistake. The exit code is 2 if there is any.
"""

from __future__ import annotations

import argparse
import json

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.config.check import require_sound
from mmseg_uda.config.options import merge_options
from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.config.tables import read_config, read_file
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.utils.cli import config_parser, run_main
from mmseg_uda.utils.errors import REFUSALS


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__, rows='+')
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='config of any kind, or TABLE.py:ROW:CELL'
    )
    parser.add_argument(
        '--json', action='store_true', help='print a list of the problems of each config instead'
    )
    return parser.parse_args(argv)


def check_file(path: str, args: argparse.Namespace) -> None:
    options = args.cfg_options or {}
    content = {} if '.py:' in path else read_file(path)
    if not {'stages', 'rows'} & content.keys():
        cfg = read_config(path)
        merge_options(cfg, options)
        require_sound(cfg)
        return
    all_cells = list(content.get('cells', [None]))
    for cell in [args.cell] if args.cell or 'rows' in content else all_cells:
        read_pipeline(path, options, rows=args.row, cell=cell)


def find_problems(path: str, args: argparse.Namespace) -> list[Problem]:
    try:
        check_file(path, args)
    except ConfigError as error:
        return error.problems
    except Exception as error:  # configs are programs: anything can happen in them
        text = str(error) if isinstance(error, REFUSALS) else f'[{type(error).__name__}] {error}'
        return [Problem(path, text.removeprefix(path).lstrip(':, '))]
    return []


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    found = {path: find_problems(path, args) for path in args.configs}
    if args.json:
        report = [
            {'config': path, 'problems': [problem._asdict() for problem in problems]}
            for path, problems in found.items()
        ]
        print(json.dumps(report, indent=1))
    else:
        for path, problems in found.items():
            print('\n  '.join([f'{path}:', *map(str, problems)]) if problems else f'{path}: ok')
    return 2 if any(found.values()) else 0


if __name__ == '__main__':
    run_main(main)
