"""Draw a model's attention on target images; the model determines its kind.

points         CDANet (its Figure 6): where points of a target image look in a source image
classes        SAM (its Figure 3): similarity to the most confident pixel of each class
plain_classes  the same for a network's own scores, of any model
plain_points   SAM (its Figure E.4): similarity of scores to those at points, of any model (or two)
discriminator  DAST (its Figure 3): where features of the target are badly aligned
units          PIT (its Figure 3): class activation maps of each unit, for the largest classes
prediction     the segmentation beside the labels, of any model
extremes       the same for the N best and the N worst images of the test split (--images N)

The output is one picture, with a block of rows for each target image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.reads import read_paths
from mmseg_uda.stages.show import KINDS, show_attention
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.drawing import save_picture
from mmseg_uda.utils.parser import at_least, device_name


def parse_point(text: str) -> tuple[int, int]:
    """Read ``x,y`` in pixels."""
    try:
        x, y = (int(number) for number in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'got {text!r}; write x,y in pixels') from None
    return x, y


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add = parser.add_argument
    add('config', help='config of the model')
    add('checkpoint')
    add('--kind', choices=KINDS, help='(default: the kind that the model has)')
    add('--target', metavar='IMG', nargs='+', help='target images (default: of the test split)')
    add(
        '--images',
        type=at_least(1),
        default=1,
        metavar='N',
        help='first N of the test split (default: 1)',
    )
    add('--source', metavar='IMG', help="points: source image (default: the config's first)")
    add('--points', type=parse_point, nargs='+', metavar='x,y', help='(default: four)')
    add(
        '--compare', nargs=2, metavar='FILE', help='plain_points: config, checkpoint of another one'
    )
    add('--out', default='attention.png', help='picture to write')
    add('--device', type=device_name)
    add('--cell-width', type=at_least(1), default=480, help='of one picture, in pixels')
    args = parser.parse_args(argv)
    if args.compare and args.kind != 'plain_points':
        parser.error(f'--compare got --kind {args.kind}; write --kind plain_points')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args)
    check_output('--out', args.out, read_paths(cfg))
    compare = None
    if args.compare:
        args.config, checkpoint = args.compare
        compare = load_config(args), checkpoint
    picture, text = show_attention(
        cfg,
        args.checkpoint,
        args.kind,
        args.target,
        args.images,
        args.source,
        args.points,
        compare,
        args.device,
        args.cell_width,
    )
    save_picture(picture, Path(args.out))
    print(f'{args.out}: {text}')


if __name__ == '__main__':
    run_main(main)
