"""Adapt a checkpoint to the target domain by its batch-norm statistics alone (AdaBN).

Works on any checkpoint of any mmseg segmentor; see configs/adabn/README.md.
"""

from __future__ import annotations

import argparse

from mmengine.dist import is_main_process

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.stages.adabn import adapt_checkpoint
from mmseg_uda.utils.cli import build_runner, config_parser, load_config, run_main
from mmseg_uda.utils.parser import at_least


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__, launcher=True)
    add = parser.add_argument
    add('config', help='config of the model and of the target data')
    add('checkpoint', help='checkpoint to adapt')
    add('out', help='adapted checkpoint to write')
    add('--num-images', type=at_least(0), default=200, help='target images; 0 for all')
    add('--batch-size', type=at_least(1), default=4)
    add('--num-workers', type=at_least(0), default=2)
    add('--seed', type=int, default=0, help="of the images' order")
    add('--test', action='store_true', help='evaluate the adapted checkpoint')
    add('--work-dir', help='directory of the logs of --test')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    given = (args.num_images or None, args.batch_size, args.num_workers, args.seed)
    count = adapt_checkpoint(cfg, args.checkpoint, args.out, *given)
    if is_main_process():
        print(f'{args.out}: batch-norm statistics of {count} target images')
    if args.test:
        cfg.load_from, cfg.resume = args.out, False
        build_runner(cfg).test()


if __name__ == '__main__':
    run_main(main)
