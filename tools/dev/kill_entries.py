"""Entry points that ``kill_test.py`` kills, on toy data of the smallest size."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT)]
import toys  # noqa: E402

__all__ = ['Entry', 'make_entries', 'prepare']

TARGET = 'train_dataloader.target.dataset.pipeline.1'
STAGES: list[dict[str, Any]] = [
    dict(name='train', type='train', config='cfg_train.py'),
    dict(
        name='pseudo_label',
        type='pseudo_label',
        config='cfg_train.py',
        checkpoint='{train}',
        rule='cbst',
    ),
    dict(name='self_training', type='train', config='cfg_self.py',
         options={f'{TARGET}.pseudo_dir': '{pseudo_label}', 'load_from': '{train.best}'}),
    dict(
        name='translate',
        type='translate',
        source='data/source/images',
        target='data/target/images',
        beta=0.2,
        labels='data/source/labels',
        label_suffix='.png',
    ),
    dict(name='spatial_prior', type='spatial_prior', config='cfg_camix.py', workers=0),
    dict(
        name='image_labels',
        type='image_labels',
        config='cfg_pit.py',
        features='config',
        weights='net.pth',
        input_size=[24, 16],
        epochs=2,
        workers=0,
    ),
    dict(name='test', type='test', config='cfg_self.py', checkpoint='{self_training}'),
    dict(
        name='score',
        type='score',
        config='cfg_self.py',
        checkpoint='{self_training}',
        points=[6],
    ),
    dict(name='export', type='export', config='cfg_self.py', checkpoint='{self_training}'),
]  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A command line that can be killed and started again.

    Args:
        name: Its name, for the table.
        run: Runs it; the argument is the directory to write to.
        resume: Runs it again after a kill; None: the same command.
        stage: The directory whose events are drawn; empty for all.
    """

    name: str
    run: Callable[[Path], Any]
    resume: Callable[[Path], Any] | None = None
    stage: str = ''


def prepare(shared: Path) -> None:
    """Write data, configs and a trained checkpoint; the working directory is ``shared``."""
    networks = toys.segmentor_cfg(batch_norm=True)
    configs = {
        'train': ('mean_teacher', dict(segmentor=networks), {}),
        'workers': ('mean_teacher', dict(segmentor=networks), dict(num_workers=1)),
        'self': ('self_training', {}, {}),
        'refresh': ('self_training', {}, {}),
        'camix': ('camix', {}, {}),
        'pit': ('pit', {}, {}),
    }
    for name, (method, changes, options) in configs.items():
        model = toys.method_cfg(method, **changes)
        cfg = toys.runner_cfg(shared / 'data', shared / 'none', model, 6, **options)
        cfg.train_cfg.update(val_interval=2, val_begin=0)
        cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=1, save_best='mIoU')
        cfg.custom_imports = dict(imports=['toys', 'mmseg_uda'])
        target = cfg.train_dataloader.target.dataset.pipeline
        if name == 'refresh':
            target[1].pseudo_dir = None
            cfg.custom_hooks = [dict(type='PseudoLabelRefreshHook', interval=3)]
        if name == 'camix':
            target.insert(1, dict(type='TrackPositions', height=16, width=24))
        content = {key: cfg[key] for key in cfg if key not in ('work_dir', 'experiment_name')}
        _write_config(shared / f'cfg_{name}.py', Config(content).to_dict())
    _write_config(shared / 'cfg_pipeline.py', dict(seed=1, stages=STAGES))
    quick = []
    scores = dict(_delete_=True, type='SubsetIoUMetric', per_class=True)
    for stage, method in (('source_only', 'source_only/source-only'), ('dacs', 'cdanet/cdanet')):
        base = ROOT / f'configs/{method}_toy_1xb2-600_toy-street-256x128.py'
        loader = dict(num_workers=0, persistent_workers=False)
        config = f'cfg_quick_{stage}.py'
        _write_config(
            shared / config,
            dict(
                _base_=[str(base)],
                train_dataloader=dict(source=loader, target=loader),
                val_dataloader=loader,
                test_dataloader=loader,
                train_cfg=dict(max_iters=2, val_interval=2),
                default_hooks=dict(checkpoint=dict(interval=1)),
            ),
        )
        quick += [
            dict(name=stage, type='train', config=config),
            dict(
                name=f'{stage}_test',
                type='test',
                config=config,
                checkpoint=f'{{{stage}}}',
                options=dict(test_evaluator=scores),
            ),
        ]
    _write_config(shared / 'cfg_quick_pipeline.py', dict(cells=dict(toy=quick)))
    backbone = MODELS.build(networks['backbone'] | dict(batch_norm=False))
    torch.save(backbone.state_dict(), shared / 'net.pth')
    ids = np.arange(35, dtype=np.uint8).reshape(5, 7)
    for kind in ('images', 'labels'):
        (shared / 'gta' / kind).mkdir(parents=True)
        for name in ('00001', '00002', '00003'):
            Image.fromarray(ids).save(shared / f'gta/{kind}/{name}.png')
    _tool('train').main(['cfg_train.py', '--work-dir', 'model'])


def _write_config(path: Path, content: dict[str, Any]) -> None:
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in content.items()))


def _tool(name: str) -> ModuleType:
    return toys.load_script(f'tools/{name}.py')


def make_entries() -> list[Entry]:
    """All entry points; their commands run in the directory that :func:`prepare` filled."""
    names = ('train', 'generate_pseudo_labels', 'spatial_prior', 'train_image_labels', 'adabn')
    tools = {name: _tool(name) for name in (*names, 'export_segmentor', 'run_pipeline')}
    converters = {
        name: _tool(f'dataset_converters/{name}') for name in ('gta', 'translate', 'toy_street')
    }
    tools.update(converters)

    def call(name: str, *arguments: str) -> Callable[[Path], Any]:
        """Make a command; ``OUT`` in an argument is the directory to write to."""
        return lambda out: tools[name].main([each.replace('OUT', str(out)) for each in arguments])

    def training(name: str, config: str) -> Entry:
        command = ('train', f'cfg_{config}.py', '--work-dir', 'OUT/run')
        return Entry(name, call(*command), call(*command, '--resume'))

    model = 'model/iter_6.pth'
    features = ('--features', 'config', '--weights', 'net.pth', '--input-size', '24', '16')
    prior = ('spatial_prior', 'cfg_camix.py', 'OUT/prior.npz', '--workers', '0')
    pipeline = call('run_pipeline', 'cfg_pipeline.py', '--work-dir', 'OUT/run')
    return [
        training('training', 'train'),
        training('training, workers', 'workers'),
        training('training, labels refreshed', 'refresh'),
        Entry(
            'pseudo labels',
            call('generate_pseudo_labels', 'cfg_train.py', model, '--out-dir', 'OUT/labels',
                 '--work-dir', 'OUT/logs'),
        ),
        Entry('label conversion', call('gta', 'gta', '--nproc', '1', '-o', 'OUT')),
        Entry(
            'translation',
            call('translate', 'fda', 'data/source/images', 'data/target/images', 'OUT/translated',
                 '--beta', '0.2', '--labels', 'data/source/labels', '--label-suffix', '.png'),
        ),
        Entry('spatial prior', call(*prior), call(*prior, '--overwrite')),
        Entry(
            'image labels',
            call('train_image_labels', 'cfg_pit.py', '--out', 'OUT/labels.npz', '--num-workers',
                 '0', '--epochs', '2', *features),
        ),
        Entry(
            'adabn',
            call('adabn', 'cfg_train.py', model, 'OUT/adapted.pth', '--num-workers', '0'),
        ),
        Entry(
            'export',
            call('export_segmentor', model, 'OUT/plain.pth', '--config', 'cfg_train.py',
                 '--out-config', 'OUT/plain.py'),
        ),
        Entry(
            'toy streets',
            call('toy_street', 'OUT/toy', '--train', '2', '--val', '1', '--size', '32', '64',
                 '--nproc', '1'),
        ),
        Entry('quick start', _quick_start(_tool('quickstart'))),
        *(Entry(f'pipeline: {each["name"]}', pipeline, stage=each['name']) for each in STAGES),
    ]  # fmt: skip


def _quick_start(tool: ModuleType) -> Callable[[Path], Any]:
    """The first command with small networks, 6 images and 2 iterations."""
    toy_street = _tool('dataset_converters/toy_street')

    def run_tool(path: Path, *arguments: object) -> None:
        if Path(path).stem != 'toy_street':  # weights, which the small networks do not read
            return
        process = os.fork()
        if process == 0:
            toy_street.main([*map(str, arguments)])
            os._exit(0)
        if os.waitpid(process, 0)[1]:
            sys.exit(1)

    def run(out: Path) -> None:
        tool.PIPELINE = Path('cfg_quick_pipeline.py').resolve()
        tool.NUM_TRAIN, tool.NUM_VAL, tool.run_tool = 2, 2, run_tool
        tool.main(['--work-dir', str(out)])

    return run
