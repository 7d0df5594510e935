"""Write the segmentor inside a trained method for stock mmseg, and as ONNX or torch.export file.

The checkpoint's keys lose their prefix, so that a stock ``EncoderDecoder`` config loads it
strictly; its metadata keep the classes and the palette. ``--out-config`` writes such a config, made
from the method's (``--config``): the copy inside a checkpoint is never run. Stock
``tools/test.py``, ``get_flops.py``, ``benchmark.py`` and ``MMSegInferencer`` run on both, without
this package: networks that stock mmseg lacks are written as one Python file beside the config. A
model card, OUT_CONFIG.md, is to be completed by hand.

``--onnx``, ``--torch-export`` and ``--torchscript`` (which PyTorch deprecates) write files that
compute logits at the size of the normalised images, of any size. Each is compared with PyTorch on
images of the test set, or of ``--images``, and the differences are printed; the exit code is 1 if
they are larger than rounding explains. docs/export.md has an example of their use.
"""

from __future__ import annotations

import argparse

from mmengine.config import Config

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.config.tables import read_config
from mmseg_uda.stages.export import export_segmentor
from mmseg_uda.stages.export.formats import FORMATS, compare, export_format, require_packages
from mmseg_uda.stages.export.images import find_images
from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.parser import ToolParser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('checkpoint', help='checkpoint of a method of this package')
    add('out', help='checkpoint to write')
    add('--config', help='config of the method, for --out-config')
    add('--out-config', help='also write a plain mmseg config, a .py file')
    add(
        '--module',
        default='student',
        help='the module to export, for example teacher.module (default: student)',
    )
    add('--onnx', metavar='OUT.onnx', help='also write an ONNX file; needs --out-config')
    add('--torch-export', metavar='OUT.pt2', help='also write a file of torch.export')
    add('--torchscript', metavar='OUT.pt', help='also write TorchScript; deprecated by PyTorch')
    add('--labels', action='store_true', help='labels in place of logits in these files')
    add('--images', metavar='DIR', help='images to compare on (default: the test set)')
    args = parser.parse_args(argv)
    if args.out_config is None and any(vars(args)[kind] for kind in FORMATS):
        parser.error(
            'expected --config and --out-config with --onnx, --torch-export and --torchscript, '
            'but got none; write them'
        )
    return args


def convert(kind: str, args: argparse.Namespace, trained: Config | None) -> bool:
    """Write one format and compare it; False if it differs."""
    path = vars(args)[kind]
    network, run = export_format(kind, args.out_config, args.out, path, args.labels)
    print(f'wrote {path}: {"labels" if args.labels else "logits"} of normalised images')
    found = list(compare(network, run, find_images(args.out_config, args.images, trained)))
    print('  against PyTorch' + (', on noise: no images found' if found[0].is_noise else ''))
    for each in found:
        print(f'  {each}' + ('' if each.fits else ' - TOO MUCH'))
    return all(each.fits for each in found)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    kinds = [kind for kind in FORMATS if vars(args)[kind]]
    for kind in kinds:
        require_packages(kind)
    further = {f'--{kind.replace("_", "-")}': vars(args)[kind] for kind in kinds}
    exported = export_segmentor(
        args.checkpoint, args.out, args.config, args.out_config, args.module, further
    )
    print(f'wrote {args.out}: {exported.tensors} tensors of {args.module!r}')
    for path in list(exported.outputs.values())[1:]:
        print(f'wrote {path}')
    for note in exported.notes:
        print(f'note: {note}')
    trained = read_config(args.config) if kinds else None
    fits = [convert(kind, args, trained) for kind in kinds]
    return 0 if all(fits) else 1


if __name__ == '__main__':
    run_main(main)
