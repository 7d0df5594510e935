"""A toy pipeline, in a process of its own: ``python run_toy.py CONFIG WORK_DIR [options]``.

``--kill STAGE ITERATION`` ends the process there by SIGKILL, ``--rank`` makes it one of two.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
import toys

from mmseg_uda.engine.loops import UDATrainLoop
from mmseg_uda.pipeline import read_pipeline

PSEUDO_DIR = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
STAGES: list[dict[str, Any]] = [
    dict(name='stage0', type='train', config='source.py'),
    dict(
        name='labels1',
        type='pseudo_label',
        config='source.py',
        checkpoint='{stage0}',
        rule=dict(type='cbst', share=0.3),
    ),
    dict(name='generation1', type='train', config='self.py', options={PSEUDO_DIR: '{labels1}'}),
    dict(name='labels2', type='pseudo_label', config='self.py', checkpoint='{generation1}'),
    dict(
        name='generation2',
        type='train',
        config='self.py',
        options={PSEUDO_DIR: '{labels2}', 'load_from': '{stage0.best}'},
    ),
    dict(name='test0', type='test', config='source.py', checkpoint='{stage0.best}'),
    dict(name='test', type='test', config='self.py', checkpoint='{generation2}'),
    dict(name='export', type='export', config='self.py', checkpoint='{generation2}'),
]
# All pixels are kept: a mean over as many in each process is the joint mean.
SHORT = [
    dict(STAGES[1], rule=dict(type='fixed', threshold=0.01)) if each['name'] == 'labels1' else each
    for each in STAGES
    if each['name'] in ('stage0', 'labels1', 'generation1')
]


def write_configs(
    folder: Path, stages: list[dict[str, Any]] | None = None, batch_size: int = 2
) -> Path:
    """The pipeline's config and those of its stages; their data where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, method in (('source', 'adversarial'), ('self', 'self_training')):
        cfg = toys.runner_cfg(
            folder.parent / 'data',
            folder,
            toys.method_cfg(method),
            max_iters=6,
            batch_size=batch_size,
            custom_imports=dict(imports=['toys', 'mmseg_uda']),
            model_wrapper_cfg=dict(type='UDADistributedDataParallel'),
            visualizer=dict(
                type='SegLocalVisualizer',
                name='visualizer',
                vis_backends=[dict(type='LocalVisBackend')],
            ),
        )
        cfg.train_cfg.update(val_interval=2, val_begin=0)
        cfg.default_hooks.checkpoint.update(interval=2, save_best='mIoU')
        cfg.pop('work_dir')
        cfg.pop('experiment_name')
        (folder / f'{name}.py').write_text(
            '\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items())
        )
    return write_pipeline(folder, stages or STAGES)


def write_pipeline(folder: Path, stages: list[dict[str, Any]], **more: Any) -> Path:
    """The pipeline's config alone."""
    path = folder / 'toy_pipeline.py'
    lines = [f'{key} = {value!r}' for key, value in dict(seed=1, stages=stages, **more).items()]
    path.write_text('\n'.join(lines))
    return path


def kill(stage: str, iteration: int) -> Any:
    """End the process at the start of an iteration."""
    run_iter = UDATrainLoop.run_iter

    def wrapped(loop: UDATrainLoop, batch: Any) -> None:
        if Path(loop.runner.work_dir).name == stage and loop.iter == iteration:
            os.kill(os.getpid(), signal.SIGKILL)
        run_iter(loop, batch)

    return mock.patch.object(UDATrainLoop, 'run_iter', wrapped)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    parser.add_argument('work_dir', type=Path)
    parser.add_argument('--kill', nargs=2, default=('', -1))
    parser.add_argument('--rank', type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    launcher = 'none'
    if args.rank is not None:
        launcher = 'pytorch'
        os.environ.update(RANK=str(args.rank), LOCAL_RANK=str(args.rank), WORLD_SIZE='2')
        dist.init_process_group(
            'gloo', init_method=f'file://{args.work_dir}.meeting', rank=args.rank, world_size=2
        )
    with (
        kill(args.kill[0], int(args.kill[1])),
        mock.patch('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True)),
    ):
        read_pipeline(args.config, work_dir=args.work_dir, launcher=launcher).run()
    if args.rank is not None:
        dist.destroy_process_group()


if __name__ == '__main__':
    sys.exit(main())
