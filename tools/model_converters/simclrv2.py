"""Rename the weights of SimCLRv2's ResNet-101 for the configs of ProDA's stages 2 and 3.

    python tools/model_converters/simclrv2.py r101_1x_sk0.pth checkpoints/simclr_r101_1x_sk0.pth

reads what `convert.py` of SimCLRv2-Pytorch makes of Google's TensorFlow checkpoint `r101_1x_sk0`:
`{'resnet': {'net.0.0.weight': ...}, 'head': ...}`. A file of torchvision's names is read, too. The
result has torchvision's names. Every tensor of the network must be there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

import mmseg_uda  # noqa: F401 (checks the toolboxes)
from mmseg_uda.artifacts.checkpoint import describe_mismatch, load_weights
from mmseg_uda.artifacts.files import write_torch
from mmseg_uda.artifacts.outputs import check_new_file
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser

# Layers of a block, `net.<stage>.blocks.<block>.<name>`, and of the stem: torchvision's names.
BLOCK = {
    'projection.shortcut': 'downsample.0',
    'projection.bn.0': 'downsample.1',
    **{f'net.{2 * index}': f'conv{index + 1}' for index in range(3)},
    **{f'net.{2 * index + 1}.0': f'bn{index + 1}' for index in range(3)},
}
STEM = {'net.0.0': 'conv1', 'net.0.1.0': 'bn1'}
PLACE = re.compile(r'net\.(\d)\.blocks\.(\d+)\.(.+)')


def rename(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights torchvision's names; others stay, and the classifier is left out."""
    renamed = {}
    for key, value in weights.items():
        layer, _, kind = key.rpartition('.')
        if layer == 'fc':
            continue
        found = PLACE.fullmatch(layer)
        if found and found[3] in BLOCK:
            layer = f'layer{found[1]}.{found[2]}.{BLOCK[found[3]]}'
        renamed[f'{STEM.get(layer, layer)}.{kind}'] = value
    return renamed


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='the PyTorch file')
    parser.add_argument('out', help='the .pth file to write')
    parser.add_argument('--overwrite', action='store_true', help='move an older file aside')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    from mmseg.models import ResNet  # after mmseg_uda, which helps an unfit torchvision

    args = parse_args(argv)
    check_new_file('out', args.out, '.pth', args.overwrite)
    content = load_weights(args.checkpoint)
    inner = content.get('resnet', content)
    weights = rename(inner if isinstance(inner, Mapping) else content)
    with torch.device('meta'):
        wrong = describe_mismatch(ResNet(101), weights)
    if wrong:
        raise ValueError(
            f'{args.checkpoint}: expected ResNet-101 under the names of SimCLRv2-Pytorch or of '
            f'torchvision, but {wrong}; write the file of r101_1x_sk0'
        )
    write_torch(args.out, {'state_dict': weights})
    print(f'wrote {args.out}: {len(weights)} tensors')


if __name__ == '__main__':
    run_main(main)
