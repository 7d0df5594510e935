"""Examine a training before hours are lost: config, weights, labels, pixels and evaluation.

Each finding is "ok", "look" (unusual, and perhaps meant) or "wrong" (it will spoil the numbers),
with what to do. Nothing is trained or downloaded. The exit code is 2 if something is wrong.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.options import merge_options
from mmseg_uda.config.reads import read_paths
from mmseg_uda.config.tables import read_config
from mmseg_uda.doctor import examine, worst
from mmseg_uda.utils.cli import config_parser, run_main


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add = parser.add_argument
    add('config', help='config of a training')
    add('--paper', metavar='CONFIG', help='config to compare with, such as that of a paper')
    add('--no-data', action='store_true', help='leave images and labels unread')
    add('--picture', type=Path, metavar='OUT.png', help='also draw one batch')
    add('--json', action='store_true', help='print a list of findings instead')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    cfg = read_config(args.config, args.row, args.cell)
    merge_options(cfg, args.cfg_options or {})
    if args.picture is not None:
        check_output('--picture', args.picture, [('config', args.config), *read_paths(cfg)])
    paper = read_config(args.paper) if args.paper else None
    findings = []
    for finding in examine(cfg, paper, not args.no_data, args.picture):
        findings.append(finding)
        if not args.json:
            print(finding, flush=True)
    if args.json:
        print(json.dumps([each._asdict() for each in findings], indent=1))
    return 2 if worst(findings) == 'wrong' else 0


if __name__ == '__main__':
    run_main(main)
