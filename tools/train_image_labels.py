"""Predict image-level labels of a config's target training images, for PIT.

Features of a frozen network, and a linear softmax layer trained on the shares of the classes in
the source's labels. ``LoadImageLabels.label_file`` reads the result. Called again, it goes on where
it was stopped. It runs in one process.

With ``--from-labels`` the labels are counted in the target's label files instead, for weakly
supervised adaptation.
"""

from __future__ import annotations

import argparse
import dataclasses

from mmengine.registry import init_default_scope

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.image_labels import KINDS
from mmseg_uda.stages.image_labels.prediction import (
    ImageLabelRecipe,
    count_image_labels,
    predict_image_labels,
)
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.parser import at_least

DEFAULTS = ImageLabelRecipe()


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add, default = parser.add_argument, '(default: %(default)s)'
    add('config', help='config of a method, for its datasets')
    add('--out', required=True, help='file to write (.npz)')
    add(
        '--features',
        default=DEFAULTS.features,
        help="timm:NAME, `config` for the config's own backbone, or the file of a mmseg config for "
        f'its backbone {default}',
    )
    add('--weights', help='file of its weights (default: those that timm or the config names)')
    add(
        '--input-size',
        type=at_least(1),
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help="size of its images (default: its own, or else that of the source pipeline's Resize)",
    )
    for key, text in (
        ('epochs', 'passes over the source'),
        ('lr', 'learning rate'),
        ('batch_size', 'images in one step of the regression'),
        ('seed', "seed of the images' order"),
    ):
        value = getattr(DEFAULTS, key)
        flag = f'--{key.replace("_", "-")}'
        add(flag, type=type(value), default=value, help=f'{text} {default}')
    add('--num-workers', type=at_least(0), default=2, help='processes that read images')
    add(
        '--from-labels',
        nargs='?',
        choices=KINDS,
        const='presence',
        help="count the target's label files: presence of the classes (default), or their share",
    )
    add('--overwrite', action='store_true', help='move a file of other settings aside')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    init_default_scope('mmseg')
    more = (args.num_workers, args.overwrite)
    if args.from_labels:
        labels, text = count_image_labels(cfg, args.out, args.from_labels, *more), ''
    else:
        keys = [field.name for field in dataclasses.fields(ImageLabelRecipe)]
        recipe = ImageLabelRecipe(**{key: getattr(args, key) for key in keys})
        labels, metrics = predict_image_labels(cfg, args.out, recipe, *more)
        text = ''.join(f'; {key} {value:.4f} (source)' for key, value in metrics.items())
    size = f'{labels.num_classes} classes in {len(labels.names)} images'
    print(f'{args.out}: {labels.kind} of {size}{text}')


if __name__ == '__main__':
    run_main(main)
