"""Count where in an image each class is, over a config's source labels: CAMix's spatial prior.

    python tools/spatial_prior.py configs/camix/CONFIG.py data/prior_gta.npz

reads the labels of the source training set as training does, and writes one file for
`model.mixer.prior`. It is written whole or not at all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.spatial_prior import BORDERS, NORMS, PriorRecipe
from mmseg_uda.stages.spatial_prior import make_spatial_prior, prior_size, source_dataset
from mmseg_uda.utils.cli import add_config_options, load_config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config whose source training set is counted')
    parser.add_argument('out', help='the .npz file to write')
    parser.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='of the prior (default: as in TrackPositions of the config)',
    )
    parser.add_argument(
        '--kernel',
        type=int,
        help='pixels of the Gaussian, odd, 1 for none (default: 71 for 1024 rows, '
        'in proportion for others)',
    )
    parser.add_argument(
        '--sigma',
        type=float,
        help='deviation of the Gaussian in pixels (default: a sixth of the window)',
    )
    parser.add_argument(
        '--border',
        choices=list(BORDERS),
        default='constant',
        help='what lies beyond the image (default: constant, zero)',
    )
    parser.add_argument(
        '--norm',
        choices=NORMS,
        default='class',
        help='what sums to 1 (default: class, each over the pixels)',
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='processes that load labels (default: 2)'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace the file')
    add_config_options(parser)
    parser.set_defaults(launcher='none', work_dir=None)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line entry; returns the exit status."""
    args = parse_args(argv)
    try:
        write_prior(args)
    except KeyboardInterrupt:
        sys.stderr.write(f'\ninterrupted; {args.out} was not written\n')
        return 130
    except (OSError, ValueError) as error:
        sys.stderr.write(f'\n{error}\n')
        return 1
    return 0


def write_prior(args: argparse.Namespace) -> None:
    """Check everything that can be wrong, count, write."""
    if Path(args.out).suffix != '.npz':
        raise ValueError(f'out got {args.out!r}; write a name that ends in .npz')
    if Path(args.out).exists() and not args.overwrite:
        raise ValueError(f'{args.out} exists; write another name, or --overwrite to replace it')
    cfg = load_config(args)
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
    sys.exit(main())
