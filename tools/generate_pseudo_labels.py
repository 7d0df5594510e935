"""Write pseudo labels of a config's target training images with a trained network.

``LoadPseudoLabels.pseudo_dir`` reads the directory. Called again, it goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
from typing import Any

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.pseudo_labels import RULES, build_rule
from mmseg_uda.stages.pseudo_labels import build_labeller, make_label_config
from mmseg_uda.utils.cli import config_parser, load_config, run_main


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__, launcher=True)
    add = parser.add_argument
    add('config', help='config that the checkpoint was trained with')
    add('checkpoint', help='checkpoint file')
    add('--out-dir', required=True, help='directory of labels and manifest')
    rule = 'selection of the predictions to keep (default: bdl)'
    add('--rule', choices=sorted(RULES), default='bdl', help=rule)
    add('--share', type=float, help='bdl, cbst, global: share of the pixels to keep (default: 0.5)')
    add('--cap', type=float, help='bdl, cbst, global: upper bound of thresholds (default: 0.9)')
    add('--threshold', type=float, help='fixed: the threshold (default: 0.9)')
    add('--flip', action='store_true', help='take the mean with the mirror image')
    add('--overwrite', action='store_true', help='replace labels made with other settings')
    add('--work-dir', help='directory of logs')
    args = parser.parse_args(argv)
    try:
        build_rule(rule_config(args))
    except ValueError as error:
        parser.error(str(error))
    return args


def rule_config(args: argparse.Namespace) -> dict[str, Any]:
    """Make the rule's config of its name and the arguments that were given."""
    given = {key: getattr(args, key) for key in ('share', 'cap', 'threshold')}
    return {'type': args.rule, **{key: value for key, value in given.items() if value is not None}}


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = make_label_config(
        load_config(args),
        args.checkpoint,
        args.out_dir,
        rule_config(args),
        args.overwrite,
        args.flip,
    )
    build_labeller(cfg).test()


if __name__ == '__main__':
    run_main(main)
