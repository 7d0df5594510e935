"""Compute the memory of a training, and find what to switch on so that it fits a GPU.

The method's own losses, backward passes and optimizers run on tensors without values: no GPU, no
data and no weights are needed. The exit code is 2 if nothing makes it fit.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from mmengine.registry import init_default_scope

import mmseg_uda  # noqa: F401 (checks the toolboxes, registers the classes)
from mmseg_uda.config.domains import domain_loaders
from mmseg_uda.config.required import require_model
from mmseg_uda.doctor.memory import GIB, USABLE, measure_saved
from mmseg_uda.doctor.savings import steps_to_fit
from mmseg_uda.engine.noise import image_size
from mmseg_uda.structures import DOMAINS
from mmseg_uda.utils.cli import config_parser, load_config, run_main
from mmseg_uda.utils.parser import at_least


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = config_parser(__doc__)
    add = parser.add_argument
    add('config', help='config of a training')
    add('--gpu-memory', type=float, default=24, metavar='GIB', help='of the GPU (default: 24)')
    add('--crop', type=at_least(1), nargs=2, metavar=('HEIGHT', 'WIDTH'), help='of the images')
    add('--measure', action='store_true', help='also run one step of the config on this CPU')
    add('--json', action='store_true', help='print numbers of bytes instead')
    args = parser.parse_args(argv)
    if not args.gpu_memory > 0:
        parser.error(f'argument --gpu-memory: expected GiB above 0, but got {args.gpu_memory}')
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    cfg = load_config(args)
    require_model('memory_plan', cfg)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    crop = tuple(args.crop) if args.crop else None
    there = args.gpu_memory * GIB
    shapes = {
        domain: image_size(cfg, domain, crop)
        for domain in DOMAINS
        if domain_loaders(cfg.get('train_dataloader'), domain)
    }
    rows: list[dict[str, Any]] = []
    options: dict[str, Any] = {}
    fits = False
    if not args.json:
        for domain, (height, width) in shapes.items():
            number = domain_loaders(cfg.train_dataloader, domain)[0][1].get('batch_size', 1)
            print(f'{domain}: batch {number} of {width} x {height}')
    for saving, memory in steps_to_fit(cfg, there, crop):
        options.update(saving.options if saving else {})
        fits = memory.fits(there)
        rows.append(dict(options=dict(options), total=memory.total, **memory._asdict(), fits=fits))
        if not args.json:
            title = f'with {saving}: {saving.title}' if saving else 'as it is'
            print(f'{title}\n  {memory}', flush=True)
    if args.json:
        print(json.dumps(dict(shapes=shapes, gpu_memory=there, steps=rows), indent=1))
        return 0 if fits else 2
    if args.measure:
        measured, planned = measure_saved(cfg, crop), rows[0]['saved']
        text = f'{planned / 2**20:.1f} MiB calculated, {measured / 2**20:.1f} MiB measured'
        print(f'held for backward passes as it is: {text} ({planned / measured - 1:+.1%})')
    usable = f'{USABLE:.0%} of {args.gpu_memory:g} GiB'
    if not fits:
        print(f'does not fit in {usable}; write smaller crops, or a smaller network')
    elif options:
        listed = ' '.join(f'{key}={value}' for key, value in options.items())
        print(f'fits in {usable} with --cfg-options {listed}')
    else:
        print(f'fits in {usable} as it is')
    return 0 if fits else 2


if __name__ == '__main__':
    run_main(main)
