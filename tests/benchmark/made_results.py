"""Results that no run made, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.benchmark import Benchmark, read_benchmark
from mmseg_uda.benchmark.results import Results

COST = dict(
    iteration_s=0.5,
    passes_s=0.4,
    ratio=1.25,
    learning_passes=2,
    labelling_passes=1,
    peak_memory_mib=100.0,
    machine='none',
)


def benchmark(
    root: Path, methods: Mapping[str, str], seeds: int, pairs: tuple[str, ...], **more: Any
) -> Benchmark:
    """A benchmark whose pipelines do not exist."""
    names = [*methods]
    content = dict(
        title='Made',
        baseline=names[0],
        bar=names[1],
        pair_texts={pair: f'pair {pair}' for pair in pairs},
        texts=dict(methods),
        cells={f'{pair}-{method}': [] for pair in pairs for method in methods},
        levels=dict(a=dict(methods=names, pairs=[*pairs], seeds=[*range(seeds)])),
        **more,
    )
    root.mkdir(parents=True, exist_ok=True)
    path = root / 'made.py'
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in content.items()))
    return read_benchmark(path)


def write(
    results: Results, pair: str, method: str, seed: int, points: Mapping[int, Mapping[str, float]]
) -> None:
    """Write a run's result: metrics by iteration."""
    (run,) = results.benchmark.select([f'{pair}/{method}-seed{seed}'])
    content = dict(
        benchmark=results.benchmark.name,
        pair=pair,
        method=method,
        seed=seed,
        digest='0' * 64,
        points={str(step): dict(metrics) for step, metrics in points.items()},
        cost=COST,
        seconds={f'train_{method}': 60.0},
        training=f'train_{method}',
        code=dict(version='0', commit='abc'),
        machine='none',
        command=f'python tools/run_pipeline.py made.py --cell {pair}-{method}',
        finished='2026-01-01T00:00:00+00:00',
    )
    results.write(run, content)
