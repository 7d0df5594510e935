"""Predict an image, a directory with all that is below it, or a video.

OUT/labels has a PNG for each image, under its name, with the ids (or colours) of your own labels;
OUT/overlays shows the classes over the image, with a legend; OUT/confidence, on request, has the
probability of each pixel's label, and OUT/confidence_overlays shows it over the image. A second
start goes on where the first one stopped. Several devices share the images: torchrun
--nproc_per_node=4 tools/predict.py ... --launcher pytorch

The config is the one beside the checkpoint, which a training leaves there, or --config. The copy
inside a checkpoint is never run.
"""

from __future__ import annotations

import argparse
import sys

from mmengine.device import get_device
from mmengine.dist import is_main_process

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.stages.prediction import PredictOptions, find_config, run_prediction
from mmseg_uda.stages.prediction.run import IDS
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.parser import at_least, device_name


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__, launcher=True)
    add = parser.add_argument
    add('checkpoint', help='checkpoint of a training, or of export_segmentor.py')
    add('input', help='image, directory or video')
    add('out', help='directory to write')
    add('--config', help='config of the checkpoint (default: the one beside it)')
    add('--onnx', metavar='FILE', help='compute with an exported ONNX file instead')
    add(
        '--device',
        type=device_name,
        help='such as cuda:1 or cpu (default: the first GPU, if there is one)',
    )
    add(
        '--batch-size',
        type=at_least(1),
        default=1,
        help='images in one pass, if they have one size',
    )
    add('--ids', choices=IDS, default='own', help='ids of the label files (default: own)')
    add('--no-overlays', action='store_true', help='write labels alone')
    add('--confidence', action='store_true', help='write the probability of the labels, too')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    args.config = args.config or find_config(args.checkpoint)
    cfg = load_config(args)
    options = PredictOptions(
        not args.no_overlays, args.confidence, args.ids, args.batch_size, args.onnx
    )
    device = args.device or get_device()
    failed = run_prediction(cfg, args.checkpoint, args.input, args.out, device, options)
    if is_main_process():
        sys.stderr.writelines(f'left out: {line}\n' for line in failed)
        print(f'wrote {args.out}')
    return 1 if failed else 0


if __name__ == '__main__':
    run_main(main)
