"""Predict image-level labels of a config's target training images, for PIT.

Features of a frozen network, and a linear softmax layer trained on the shares of the classes in
the source's labels. ``LoadImageLabels.label_file`` reads the result. Called again, it goes on where
it was stopped. It runs in one process.

With ``--from-labels`` the labels are counted in the target's label files instead, for weakly
supervised adaptation.
"""

from __future__ import annotations

import argparse

from mmengine.registry import init_default_scope

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.image_labels import KINDS
from mmseg_uda.stages.image_labels.prediction import (
    ImageLabelRecipe,
    count_image_labels,
    predict_image_labels,
)
from mmseg_uda.utils.cli import add_config_options, load_config

DEFAULTS = ImageLabelRecipe()


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a method, for its datasets')
    parser.add_argument('--out', required=True, help='file to write (.npz)')
    parser.add_argument(
        '--features',
        default=DEFAULTS.features,
        help="timm:NAME, `config` for the config's own backbone, or the file of a "
        f'mmseg config, for its backbone (default: {DEFAULTS.features})',
    )
    parser.add_argument(
        '--weights',
        help="file of that network's weights (default: those that timm or the config names)",
    )
    parser.add_argument(
        '--input-size',
        type=int,
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help='of the images that it sees (default: what it is made for, or else '
        "the source pipeline's Resize)",
    )
    parser.add_argument(
        '--epochs',
        type=int,
        default=DEFAULTS.epochs,
        help='passes over the source (default: %(default)s)',
    )
    parser.add_argument(
        '--lr', type=float, default=DEFAULTS.lr, help='learning rate (default: %(default)s)'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=DEFAULTS.batch_size,
        help='images in one step of the regression (default: %(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=DEFAULTS.seed,
        help='of the order of the images (default: %(default)s)',
    )
    parser.add_argument('--num-workers', type=int, default=2, help='processes that read images')
    parser.add_argument(
        '--from-labels',
        nargs='?',
        choices=KINDS,
        const='presence',
        help="count labels in the target's label files: presence of the classes "
        '(default), or their share',
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace a file that was made with other settings'
    )
    add_config_options(parser)
    parser.set_defaults(launcher='none', work_dir=None)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    init_default_scope('mmseg')
    if args.from_labels:
        labels = count_image_labels(
            cfg, args.out, args.from_labels, args.num_workers, args.overwrite
        )
        print(
            f'{args.out}: {labels.kind} of {labels.num_classes} classes in '
            f'{len(labels.names)} images'
        )
        return
    recipe = ImageLabelRecipe(
        args.features,
        args.weights,
        tuple(args.input_size) if args.input_size else None,
        args.epochs,
        args.lr,
        args.batch_size,
        args.seed,
    )
    labels, metrics = predict_image_labels(cfg, args.out, recipe, args.num_workers, args.overwrite)
    print(
        f'{args.out}: shares of {labels.num_classes} classes in {len(labels.names)} images; '
        + ', '.join(f'{key} {value:.4f}' for key, value in metrics.items())
        + ' (source)'
    )


if __name__ == '__main__':
    main()
