"""Write the segmentor inside a trained method as a checkpoint (and a config) of stock mmseg.

The checkpoint's keys lose their prefix, so that a stock ``EncoderDecoder`` config loads it
strictly; its metadata keep the classes and the palette. ``--out-config`` writes such a config, made
from the method's (``--config``): the copy inside a checkpoint is never run. Stock
``tools/test.py``, ``get_flops.py``, ``benchmark.py`` and ``MMSegInferencer`` run on both.
"""

from __future__ import annotations

import argparse

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.stages.export import export_segmentor
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of a method of this package')
    parser.add_argument('out', help='checkpoint to write')
    parser.add_argument('--config', help='config of the method, for --out-config')
    parser.add_argument('--out-config', help='also write a plain mmseg config, a .py file')
    parser.add_argument(
        '--module',
        default='student',
        help='the module to export, for example teacher.module (default: student)',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    count = export_segmentor(args.checkpoint, args.out, args.config, args.out_config, args.module)
    print(f'wrote {args.out}: {count} tensors of {args.module!r}')
    if args.out_config is not None:
        print(f'wrote {args.out_config}')


if __name__ == '__main__':
    run_main(main)
