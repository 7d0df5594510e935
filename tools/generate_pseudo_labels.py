"""Write pseudo labels of a config's target training images with a trained network.

The directory can then be given to ``LoadPseudoLabels.pseudo_dir``. Called again, it goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
from typing import Any

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.pseudo_labels import RULES, build_rule
from mmseg_uda.stages.pseudo_labels import build_labeller, make_label_config
from mmseg_uda.utils.cli import (
    add_config_options,
    add_launcher,
    export_local_rank,
    join_processes,
    load_config,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', required=True, help='directory of labels and manifest')
    parser.add_argument(
        '--rule',
        choices=sorted(RULES),
        default='bdl',
        help='which predictions to keep (default: bdl)',
    )
    parser.add_argument(
        '--share', type=float, help='bdl, cbst, global: share of the pixels to keep (default: 0.5)'
    )
    parser.add_argument(
        '--cap', type=float, help='bdl, cbst, global: upper bound of thresholds (default: 0.9)'
    )
    parser.add_argument('--threshold', type=float, help='fixed: the threshold (default: 0.9)')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace labels that were made with other settings'
    )
    parser.add_argument('--work-dir', help='the directory to save logs')
    add_config_options(parser)
    add_launcher(parser)
    args = parser.parse_args(argv)
    try:
        build_rule(rule_config(args))
    except ValueError as error:
        parser.error(str(error))
    return args


def rule_config(args: argparse.Namespace) -> dict[str, Any]:
    """The rule's config: its name and the arguments that were given."""
    given = {key: getattr(args, key) for key in ('share', 'cap', 'threshold')}
    return {'type': args.rule, **{key: value for key, value in given.items() if value is not None}}


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    export_local_rank(args)
    cfg = make_label_config(
        load_config(args), args.checkpoint, args.out_dir, rule_config(args), args.overwrite
    )
    join_processes(cfg)
    build_labeller(cfg).test()


if __name__ == '__main__':
    main()
