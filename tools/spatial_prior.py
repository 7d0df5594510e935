"""Count where in an image each class is, over a config's source labels: CAMix's spatial prior.

    python tools/spatial_prior.py configs/camix/CONFIG.py data/prior_gta.npz

reads the labels of the source training set as training does, and writes one file for
`model.mixer.prior`. It is written whole or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.outputs import check_new_file, check_output
from mmseg_uda.artifacts.spatial_prior import BORDERS, NORMS, PriorRecipe
from mmseg_uda.config.reads import read_paths
from mmseg_uda.stages.source_labels import source_dataset
from mmseg_uda.stages.spatial_prior import make_spatial_prior, prior_size
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.parser import at_least


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add, size = parser.add_argument, 'default: as in TrackPositions of the config'
    add('config', help='config whose source training set is counted')
    add('out', help='the .npz file to write')
    add('--size', nargs=2, type=at_least(1), metavar=('H', 'W'), help=f'size of the prior ({size})')
    kernel = 'pixels of the Gaussian, odd, 1 for none (default: 71 for 1024 rows, in proportion)'
    add('--kernel', type=int, help=kernel)
    sigma = 'deviation of the Gaussian in pixels (default: a sixth of the window)'
    add('--sigma', type=float, help=sigma)
    border = 'continuation beyond the image (default: constant, zero)'
    add('--border', choices=list(BORDERS), default='constant', help=border)
    norm = 'axis that sums to 1 (default: class, each class over the pixels)'
    add('--norm', choices=NORMS, default='class', help=norm)
    add('--workers', type=at_least(0), default=2, help='processes that load labels (default: 2)')
    add('--overwrite', action='store_true', help='move an older file aside')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    check_new_file('out', args.out, '.npz', args.overwrite)
    cfg = load_config(args)
    check_output('out', args.out, read_paths(cfg, but=['prior']))
    recipe = PriorRecipe(
        *(args.size or prior_size(cfg)),
        kernel=args.kernel,
        sigma=args.sigma,
        border=args.border,
        norm=args.norm,
    )
    prior = make_spatial_prior(source_dataset(cfg), recipe, args.workers)
    prior.write(args.out)
    unseen = [
        name for name, values in zip(prior.recipe['classes'], prior.values) if not values.any()
    ]
    print(
        f'{args.out}: {prior.recipe["images"]} label maps, {len(prior.values)} classes, '
        f'{recipe.height} x {recipe.width}, SHA-256 {prior.digest}'
    )
    if unseen:
        print(f'never seen, so never chosen: {", ".join(unseen)}')


if __name__ == '__main__':
    run_main(main)
