"""Translate labelled images to the style of another domain by FDA (arXiv:2004.05498).

    python tools/dataset_converters/translate_fda.py data/gta/images \
        data/cityscapes/leftImg8bit/train data/gta_fda --beta 0.05 --labels data/gta/labels

writes data/gta_fda/images, data/gta_fda/labels and data/gta_fda/manifest.json. Run again, it writes
only what is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmseg_uda.stages.translation import translate_folder
from mmseg_uda.utils.cli import run_main


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add('source', help='directory of the images to translate')
    add('target', help='directory of the images that give the style')
    add('out', help='directory to write to')
    beta = "size of the exchanged window, in (0, 1]; FDA's are 0.01, 0.05, 0.09"
    add('--beta', type=float, required=True, default=argparse.SUPPRESS, help=beta)
    add('--seed', type=int, default=0, help='seed of the styles and of the choice')
    add('--max-images', type=int, help='translate so many images, chosen at random (default: all)')
    add('--labels', help='directory of the labels to copy (default: none is copied)')
    suffix = "end of the images' names, which --label-suffix replaces"
    add('--image-suffix', default='.png', help=suffix)
    add('--label-suffix', default='_labelTrainIds.png', help="end of the labels' names")
    add('--nproc', type=int, default=1, help='processes')
    add('--overwrite', action='store_true', help='replace images made with other settings')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        translate_folder(**vars(parse_args(argv)))
    except (OSError, ValueError) as error:
        sys.stderr.write(f'\n{error}\n')
        return 1
    return 0


if __name__ == '__main__':
    run_main(main)
