"""A benchmark of toys, and a harness that runs its pipelines in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import toys
from mmengine.config import Config

from mmseg_uda.benchmark import Benchmark, Run
from mmseg_uda.benchmark.run import Harness

POINTS = [2, 4]


def config(folder: Path, method: str, **changes: Any) -> str:
    """A training of four iterations, validated on the target and on unlabelled images."""
    model = toys.method_cfg(method, segmentor=toys.segmentor_cfg(batch_norm=True))
    cfg = toys.runner_cfg(
        folder / 'data',
        folder,
        model,
        max_iters=4,
        custom_imports=dict(imports=['toys', 'mmseg_uda']),
        val_evaluator=dict(type='SubsetIoUMetric', subsets=dict(all=[0, 1, 2, 3]), per_class=True),
    )
    images = toys.dataset_cfg(folder / 'data', 'target')
    images['pipeline'] = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    sets = dict(
        source=dict(
            dataloader=dict(dataset=toys.dataset_cfg(folder / 'data', 'source', train=False))
        ),
        unlabelled=dict(
            dataloader=dict(batch_size=2, dataset=dict(type='MirroredViews', dataset=images)),
            evaluator=dict(type='LabelFreeMetric', source_shares=[1, 1, 1, 1]),
        ),
    )
    cfg.val_cfg = dict(type='SelectionValLoop', selection=sets)
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=-1)
    for key in ('work_dir', 'experiment_name', 'randomness'):
        cfg.pop(key)
    cfg.update(changes)
    return '\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items())


def stages(method: str, score: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Training, scores and cost."""
    train = dict.fromkeys(['val_cfg', 'val_dataloader', 'val_evaluator'])
    both = dict(config=f'{method}.py')
    points = dict(points=POINTS, checkpoint=f'{{{method}}}', options=score or {})
    return [
        dict(name=method, type='train', options=train, **both),
        dict(name=f'{method}_score', type='score', **points, **both),
        dict(name=f'{method}_cost', type='cost', repeat=1, options=train, **both),
    ]


def write(folder: Path, name: str = 'toy', **changes: Any) -> Path:
    """The benchmark's file and the configs of its methods."""
    folder.mkdir(parents=True, exist_ok=True)
    for method in ('source_only', 'dacs'):
        (folder / f'{method}.py').write_text(config(folder, method))
    adapted = dict(custom_hooks=[dict(type='AdaBNHook', batch_size=2, num_workers=0)])
    train, score, _ = stages('source_only', adapted)
    content = dict(
        title='Toys',
        baseline='source_only',
        bar='adabn',
        pair_texts=dict(pair='source → target'),
        texts=dict(source_only='Source only', adabn='AdaBN', dacs='DACS'),
        cells={
            'pair-source_only': stages('source_only'),
            'pair-adabn': [train, dict(score, name='adabn_score')],
            'pair-dacs': stages('dacs'),
        },
        levels=dict(
            a=dict(methods=['source_only', 'adabn'], pairs=['pair'], seeds=[0, 1]),
            b=dict(methods=['source_only', 'adabn', 'dacs'], pairs=['pair'], seeds=[0]),
        ),
    )
    path = folder / f'{name}.py'
    lines = [f'{key} = {value!r}' for key, value in {**content, **changes}.items()]
    path.write_text('\n'.join(lines))
    Config.fromfile(path)
    return path


class Ended:
    """What is left of a process that has ended."""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode

    def poll(self) -> int:
        return self.returncode

    def terminate(self) -> None:
        raise AssertionError('it has ended')


class InProcess(Harness):
    """Runs pipelines here; ``before`` is called with each run and may raise to end it."""

    before: Callable[[Run], None] = staticmethod(lambda run: None)

    def _start(self, run: Run) -> Any:
        try:
            self.before(run)
            pipeline = self.benchmark.pipeline(run, self.work_dir, reuse=self.reused(run))
            pipeline.run(end=self.last_stage(run))
        except RuntimeError:
            return Ended(1)
        return Ended(0)


def harness(benchmark: Benchmark, results: Any, work_dir: Path, **kwargs: Any) -> InProcess:
    return InProcess(benchmark, results, work_dir, toys.ROOT / 'tools/run_pipeline.py', **kwargs)
