"""The sources of a report: trainings, pipelines and results of benchmarks, read as data."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.files import explain_read_errors
from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.artifacts.recipe import check_content
from mmseg_uda.artifacts.run_logs import Curve, RunLog
from mmseg_uda.benchmark.results import describe_code, describe_machine, read_result
from mmseg_uda.pipeline.state import STATE_NAME, StageRecord, State

__all__ = ['Source', 'StoredRun', 'read_source']

PICTURES = ('.png', '.jpg', '.jpeg')
MOST_PICTURES = 6  # of one source
SEED = re.compile(r'seed[-_]?(\d+)')


@dataclasses.dataclass
class StoredRun(RunLog):
    """A run of which a JSON file with its values is left, and no logs.

    Args:
        values: As :attr:`RunLog.curves`.
        origin: As :attr:`RunLog.facts`.
        number: The seed.
        benchmark: The benchmark.
        pair: The pair of domains.
        method: The method.
        cost: Time and memory of an iteration; empty if they were not measured.
    """

    values: dict[str, Curve] = dataclasses.field(default_factory=dict)
    origin: dict[str, str] = dataclasses.field(default_factory=dict)
    number: int | None = None
    benchmark: str = ''
    pair: str = ''
    method: str = ''
    cost: dict[str, Any] = dataclasses.field(default_factory=dict)

    @cached_property
    def logs(self) -> list[Path]:
        return []

    @cached_property
    def curves(self) -> dict[str, Curve]:
        return self.values

    @cached_property
    def settings(self) -> dict[str, Any]:
        return {}

    @cached_property
    def facts(self) -> dict[str, str]:
        return self.origin

    @property
    def seed(self) -> int | None:
        return self.number


@dataclasses.dataclass
class Source:
    """One argument of the report.

    Args:
        path: A working directory, or a file or directory of a benchmark's results.
        kind: ``training``, ``pipeline`` or ``benchmark``.
        runs: Those with values over training.
        tests: Stages of a pipeline with scores of their own.
        stages: Records of a pipeline's stages.
    """

    path: Path
    kind: str
    runs: list[RunLog]
    tests: list[RunLog] = dataclasses.field(default_factory=list)
    stages: dict[str, StageRecord] = dataclasses.field(default_factory=dict)

    def pictures(self) -> list[Path]:
        """Contact sheets, figures of stages, and the last pictures of the trainings."""
        if not self.path.is_dir():
            return []
        found = [path for path in sorted(self.path.iterdir()) if path.suffix in PICTURES]
        found += sorted(self.path.glob('*/contact_sheet*'))
        found += [self.path / name for each in self.stages.values() for name in _outputs(each)]
        for run in self.runs:
            for log in run.logs[-1:]:
                found += sorted(log.parent.glob('vis_image/*'), key=_written)[-2:]
        pictures = [path for path in dict.fromkeys(found) if path.suffix in PICTURES]
        return [path for path in pictures if path.is_file()][:MOST_PICTURES]

    def manifests(self) -> Iterator[tuple[str, Manifest]]:
        """Manifests of pseudo labels below the directory, and their places."""
        for path in sorted(self.path.glob('**/manifest.json')) if self.path.is_dir() else ():
            with explain_read_errors('report', path, 'rename it, to go without'):
                content = check_content(json.loads(path.read_text('utf-8')))
            if 'predicted_pixels' in content:  # others are of other artifacts
                yield str(path.parent), Manifest.read(path.parent)


def _outputs(record: StageRecord) -> list[str]:
    return [name for name in record.outputs.values() if Path(name).suffix in PICTURES]


def _written(path: Path) -> float:
    return path.stat().st_mtime


def read_source(path: Path) -> Source:
    """Read what an argument of the report names.

    Raises:
        FileNotFoundError: It is none of the three kinds.
        ValueError: It is damaged.
    """
    if (path / STATE_NAME).is_file():
        return _read_pipeline(path)
    starts = [*path.glob('*/vis_data/scalars.json'), *path.glob('vis_data/scalars.json')]
    if starts:
        return Source(path, 'training', [RunLog(str(path), path)])
    files = sorted(path.rglob('*.json')) if path.is_dir() else [path]
    results = [_read_result(file) for file in files if file.is_file()]
    if not results:
        raise FileNotFoundError(
            'report: expected the work_dir of a training (*/vis_data/scalars.json) or a pipeline '
            f'({STATE_NAME}), or results of a benchmark (*.json), but got {path}; write one of '
            'them'
        )
    return Source(path, 'benchmark', results)


def _read_pipeline(path: Path) -> Source:
    stages = State(path).stages
    runs: list[RunLog] = []
    for name, record in stages.items():
        directory = path / name
        if record.type == 'train' and any(directory.glob('*/vis_data/scalars.json')):
            runs.append(RunLog(str(directory), directory))
    found = SEED.search(str(path))
    seed = int(found[1]) if found else next((run.seed for run in runs), None)
    tests: list[RunLog] = [
        StoredRun(
            str(path / name),
            path,
            {key: {0: value} for key, value in record.metrics.items()},
            number=seed,
        )
        for name, record in stages.items()
        if record.metrics and record.type != 'train'
    ]
    return Source(path, 'pipeline', runs, tests, stages)


def _read_result(path: Path) -> RunLog:
    """Read a result of a benchmark, see :mod:`mmseg_uda.benchmark.results`."""
    content = read_result(path, 'report', 'write results of tools/benchmark.py')
    values: dict[str, Curve] = {}
    for step, metrics in content['points'].items():
        for key, value in metrics.items():
            values.setdefault(key, {})[int(step)] = value
    origin = {key: str(content[key]) for key in ('command', 'finished')}
    origin.update(code=describe_code(content), machine=describe_machine(content))
    benchmark, pair, method = (str(content[key]) for key in ('benchmark', 'pair', 'method'))
    return StoredRun(
        f'{benchmark}/{pair}/{method}-seed{content["seed"]}',
        path,
        values,
        origin,
        content['seed'],
        benchmark,
        pair,
        method,
        content['cost'],
    )
