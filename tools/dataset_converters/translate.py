"""Translate images to the style of another domain, with copies of their labels.

    python tools/dataset_converters/translate.py fda data/gta/images \
        data/cityscapes/leftImg8bit/train data/gta_fda --beta 0.05 --labels data/gta/labels
    python tools/dataset_converters/translate.py cyclegan data/gta/images data/gta_cyclegan \
        --config CONFIG --checkpoint CHECKPOINT --scale 1024 562

writes images, labels and manifest.json into the directory. Run again, it writes only what is
missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.stages.translation import TRANSLATORS, translate_folder
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser, at_least

HELP = {
    'fda': 'low frequencies of a random target image (arXiv:2004.05498)',
    'reinhard': 'mean and deviation of the colours of a random target image, or of all',
    'histogram': 'histograms of the colours of a random target image',
    'cyclegan': 'the generator of a trained CycleGAN',
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = ToolParser(description=__doc__.splitlines()[0])
    methods = parser.add_subparsers(dest='method', required=True)
    tools = {
        name: methods.add_parser(name, help=HELP[name], formatter_class=formatter)
        for name in TRANSLATORS
    }
    for name, tool in tools.items():
        tool.add_argument('source', help='directory of the images to translate')
        if TRANSLATORS[name].takes_style:
            tool.add_argument('target', help='directory of the images that give the style')
        else:
            tool.set_defaults(target=None)
        _add_common(tool)
    beta = "size of the exchanged window, in (0, 1]; FDA's are 0.01, 0.05, 0.09"
    missing = argparse.SUPPRESS
    tools['fda'].add_argument('--beta', type=float, required=True, default=missing, help=beta)
    add = tools['reinhard'].add_argument
    add('--space', choices=['lab', 'lalphabeta'], default='lab', help='colour space')
    add('--pooled', action='store_true', help='mean and deviation of all target images together')
    tools['histogram'].add_argument('--space', choices=['lab', 'rgb'], default='lab', help='space')
    add = tools['cyclegan'].add_argument
    add('--config', required=True, default=missing, help='config that it was trained with')
    add('--checkpoint', required=True, default=missing, help='its checkpoint')
    scale = "width and height of the translated images (default: the image's)"
    add('--scale', type=at_least(1), nargs=2, metavar=('WIDTH', 'HEIGHT'), help=scale)
    add('--tile', type=at_least(1), help='edge of tiles, approximate (default: whole images)')
    return parser.parse_args(argv)


def _add_common(tool: argparse.ArgumentParser) -> None:
    add = tool.add_argument
    add('out', help='directory to write to')
    add('--seed', type=at_least(0), default=0, help='seed of the styles and of the choice')
    add('--max-images', type=at_least(1), help='translate so many, chosen at random')
    add('--labels', help='directory of the labels to copy (default: none is copied)')
    suffix = "end of the images' names, which --label-suffix replaces"
    add('--image-suffix', default='.png', help=suffix)
    add('--label-suffix', default='_labelTrainIds.png', help="end of the labels' names")
    add('--nproc', type=at_least(1), default=1, help='processes; one on a GPU')
    add('--overwrite', action='store_true', help='replace images made with other settings')


def main(argv: Sequence[str] | None = None) -> None:
    translate_folder(**vars(parse_args(argv)))


if __name__ == '__main__':
    run_main(main)
