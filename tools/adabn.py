"""Adapt a checkpoint to the target domain by its batch-norm statistics alone (AdaBN).

Works on any checkpoint of any mmseg segmentor; see configs/adabn/README.md.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, is_main_process
from mmengine.registry import init_default_scope
from mmengine.utils import ProgressBar
from mmseg.registry import MODELS
from torch import nn

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.engine.batch_norm import batch_norm_layers, reestimate_batch_norm
from mmseg_uda.engine.hooks.adabn_hook import build_target_loader
from mmseg_uda.utils.cli import (
    add_config_options,
    add_launcher,
    build_runner,
    export_local_rank,
    join_processes,
    load_config,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the model and of the target data')
    parser.add_argument('checkpoint', help='checkpoint to adapt')
    parser.add_argument('out', help='where to write the adapted checkpoint')
    parser.add_argument('--num-images', type=int, default=200, help='target images; 0 for all')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--num-workers', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0, help="of the images' order")
    parser.add_argument('--test', action='store_true', help='evaluate the adapted checkpoint')
    parser.add_argument('--work-dir', help='the directory where the logs of --test go')
    add_config_options(parser)
    add_launcher(parser)
    args = parser.parse_args(argv)
    for key, least in (('num_images', 0), ('batch_size', 1)):
        if getattr(args, key) < least:
            flag = f'--{key.replace("_", "-")}'
            parser.error(f'{flag} got {getattr(args, key)}; write at least {least} instead')
    return args


def load_model(cfg: Config, checkpoint: dict[str, Any], name: str) -> nn.Module:
    """The config's model with the checkpoint's weights.

    Raises:
        ValueError: If the checkpoint is one of another model.
    """
    model = MODELS.build(cfg.model)
    kind = type(model).__name__
    try:
        result = model.load_state_dict(checkpoint.get('state_dict', checkpoint), strict=False)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise ValueError(f'{kind}: {name} is of another network: {detail}') from None
    # Discriminators may be missing: only the segmentor is used.
    part = 'student.' if hasattr(model, 'student') else ''
    missing = [
        key
        for key in result.missing_keys
        if key.startswith(part) and not key.endswith('num_batches_tracked')
    ]
    if missing:
        raise ValueError(
            f'{kind}.{missing[0]} and {len(missing) - 1} more tensors are missing in {name}; '
            'write a checkpoint that was trained with this config instead.'
        )
    return model.to(get_device())


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    export_local_rank(args)
    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    join_processes(cfg)
    checkpoint = load_checkpoint(args.checkpoint)
    model = load_model(cfg, checkpoint, args.checkpoint)
    loader = build_target_loader(
        cfg,
        num_images=args.num_images or None,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        seed=args.seed,
    )

    bar = ProgressBar(len(loader)) if is_main_process() else None

    def batches() -> Any:
        for batch in loader:
            yield batch
            if bar is not None:
                bar.update()

    count = reestimate_batch_norm(model, batches())
    if is_main_process():
        state = checkpoint.get('state_dict', checkpoint)
        for name, layer in batch_norm_layers(model):
            for buffer in ('running_mean', 'running_var'):
                key = f'{name}.{buffer}'
                # A plain mmseg checkpoint under a method's config has no prefix.
                key = key if key in state else key[len('student.') :]
                if key in state:
                    state[key] = getattr(layer, buffer).cpu()
        with atomic_write(args.out) as partial:
            torch.save(checkpoint, partial)
        print(f'\n{args.out}: batch-norm statistics of {count} target images')
    barrier()
    if args.test:
        cfg.load_from = args.out
        cfg.resume = False
        build_runner(cfg).test()


if __name__ == '__main__':
    main()
