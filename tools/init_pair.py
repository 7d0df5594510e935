"""Look at two domains of your own and write a config that trains on them.

The labels may have any ids or colours; nothing is converted. Images may have any suffix and size,
and lie in sub-directories. The label of an image has the same name but for its suffix, or but for
beginnings and endings that all images and all labels have: 7_rgb and 7_mask, img_001 and mask_001.
The report says what was found; OUT_DIR/NAME.png shows it; OUT_DIR/NAME.py is the config, and
OUT_DIR/NAME_pipeline.py trains it, from the weights of source only. --train does so at once; if
that was stopped, `tools/run_pipeline.py OUT_DIR/NAME_pipeline.py` goes on.

--classes FILE is a list of names, one a line, whose ids are 0, 1 and so on; or YAML that maps ids
or colours to names:

    7: road             # several ids of one name are merged
    8: road
    26: car
    0: ignore           # these pixels are not trained on
    others: ignore      # nor are those of any other id
    '#804080': road     # in files with colours, instead of ids; or '128,64,128'
"""

from __future__ import annotations

import argparse

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.apis import adapt
from mmseg_uda.stages.own_pair import PairOptions, init_pair
from mmseg_uda.stages.own_pair.plan import METHODS, NETWORKS
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser, at_least


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--source-images', required=True, metavar='DIR', help='images with labels')
    add('--source-labels', required=True, metavar='DIR', help='their labels')
    add('--target-images', required=True, metavar='DIR', help='images to adapt to')
    add('--target-val-images', metavar='DIR', help='images of the target with labels, to validate')
    add('--target-val-labels', metavar='DIR', help='their labels')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--classes', metavar='FILE', help='names of the classes, see above')
    kind.add_argument(
        '--from-dataset', metavar='NAME', help='the labels have the ids of a dataset of mmseg'
    )
    add('--name', help='name of the files (default: from the directories)')
    add('--out-dir', default='own', metavar='DIR', help='where to write them (default: own)')
    add('--method', default='dacs', choices=METHODS, help='default: dacs')
    add('--backbone', default='mit-b0', choices=NETWORKS, help='default: mit-b0')
    add('--max-iters', type=at_least(1), metavar='N', help='iterations (default: by the device)')
    add('--train', action='store_true', help='also run OUT_DIR/NAME_pipeline.py')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = vars(parse_args(argv))
    if args.pop('train'):
        print(adapt(**args))
    else:
        init_pair(PairOptions(**args))


if __name__ == '__main__':
    run_main(main)
