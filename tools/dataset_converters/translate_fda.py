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


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('source', help='directory of the images to translate')
    parser.add_argument('target', help='directory of the images that give the style')
    parser.add_argument('out', help='directory to write to')
    parser.add_argument(
        '--beta',
        type=float,
        required=True,
        default=argparse.SUPPRESS,
        help="size of the exchanged window, in (0, 1]; FDA's are 0.01, 0.05, 0.09",
    )
    parser.add_argument('--seed', type=int, default=0, help='of the styles and the choice')
    parser.add_argument(
        '--max-images', type=int, help='translate so many images, chosen at random (default: all)'
    )
    parser.add_argument(
        '--labels', help='directory of the labels to copy (default: none is copied)'
    )
    parser.add_argument(
        '--image-suffix',
        default='.png',
        help="end of the images' names, which --label-suffix replaces",
    )
    parser.add_argument(
        '--label-suffix', default='_labelTrainIds.png', help="end of the labels' names"
    )
    parser.add_argument('--nproc', type=int, default=1, help='processes')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace images that were made with other settings'
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line entry; returns the exit status."""
    try:
        translate_folder(**vars(parse_args(argv)))
    except KeyboardInterrupt:
        sys.stderr.write('\ninterrupted; run the same command to go on\n')
        return 130
    except (OSError, ValueError) as error:
        sys.stderr.write(f'\n{error}\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
