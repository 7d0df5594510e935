"""The result of a run: one JSON file, from which pages and plots are made."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmseg_uda.artifacts.files import explain_read_errors, write_json
from mmseg_uda.artifacts.recipe import check_content, check_version
from mmseg_uda.benchmark.config import Benchmark, Run, digest_pipeline
from mmseg_uda.pipeline.state import State
from mmseg_uda.version import __version__

__all__ = [
    'COST_KEYS',
    'Origin',
    'Results',
    'collect',
    'describe_code',
    'describe_machine',
    'read_result',
]

FORMAT_VERSION = 1
KEYS = (
    'points', 'benchmark', 'pair', 'method', 'seed', 'digest', 'cost', 'seconds', 'format_version',
    'training', 'code', 'machine', 'command', 'finished',
)  # fmt: skip
COST_KEYS = (
    'iteration_s', 'passes_s', 'ratio', 'learning_passes', 'labelling_passes', 'peak_memory_mib',
)  # fmt: skip


class Results:
    """The results of a benchmark.

    Args:
        benchmark: The benchmark.
        root: Directory of all benchmarks' pages; results are in ``results/<benchmark>`` below.
    """

    def __init__(self, benchmark: Benchmark, root: Path) -> None:
        self.benchmark = benchmark
        self.directory = root / 'results' / benchmark.name

    def path(self, run: Run) -> Path:
        """The file of a run."""
        return self.directory / f'{run.name}.json'

    def read(self, run: Run) -> dict[str, Any] | None:
        """Read the result of a run; None if there is none.

        Raises:
            ValueError: The file is damaged, of another run, or another version wrote it.
        """
        path = self.path(run)
        if not path.is_file():
            return None
        remedy = 'move it away, and run the benchmark again'
        content = read_result(path, 'Results', remedy)
        expected = dict(
            benchmark=self.benchmark.name, pair=run.pair, method=run.method, seed=run.seed
        )
        for key, value in expected.items():
            if content[key] != value:
                text = f'expected {key}={value!r} in {path}, but got {content[key]!r}'
                raise ValueError(f'Results: {text}; {remedy}')
        return content

    def state(self, run: Run) -> str:
        """``done``, ``stale`` (of other values) or ``missing``."""
        content = self.read(run)
        if content is None:
            return 'missing'
        return 'done' if content['digest'] == self.benchmark.digest(run) else 'stale'

    def __iter__(self) -> Iterator[tuple[Run, dict[str, Any]]]:
        """All runs that have a result, in the benchmark's order."""
        for run in self.benchmark.runs:
            content = self.read(run)
            if content is not None:
                yield run, content

    def write(self, run: Run, content: dict[str, Any]) -> None:
        """Write the result of a run atomically."""
        write_json(self.path(run), {'format_version': FORMAT_VERSION, **content})


def read_result(path: Path, reader: str, remedy: str) -> dict[str, Any]:
    """Read the result of a run, with its points in the order of the iterations.

    Args:
        path: The file.
        reader: Who reads it, for the error.
        remedy: What to do about a file that is no result.

    Raises:
        ValueError: It is damaged, lacks a key, or another version wrote it.
    """
    with explain_read_errors(reader, path, remedy):
        content = check_content(json.loads(path.read_text('utf-8')), KEYS)
        check_version(content['format_version'], FORMAT_VERSION)
        for key in ('points', 'cost', 'seconds', 'code'):
            check_content(content[key])
        if content['cost']:
            check_content(content['cost'], COST_KEYS)
        content['points'] = {
            str(step): {key: float(value) for key, value in check_content(metrics).items()}
            for step, metrics in sorted(
                (int(step), metrics) for step, metrics in content['points'].items()
            )
        }
        content['seed'] = int(content['seed'])
    return content


def describe_code(content: Mapping[str, Any]) -> str:
    """Name the version and the commit that made a result."""
    return ' at '.join(map(str, content['code'].values()))


def describe_machine(content: Mapping[str, Any]) -> str:
    """Name the machine of a result, and of its cost."""
    machines = content['machine'], content['cost'].get('machine')
    return ', '.join(map(str, filter(None, machines)))


class Origin(NamedTuple):
    """Digest and code of a run, taken at its start because files may change while it runs.

    Args:
        digest: As :func:`digest_pipeline` gives it.
        code: Version of the package, and its commit.
    """

    digest: str
    code: dict[str, str]

    @classmethod
    def of(cls, benchmark: Benchmark, run: Run) -> Origin:
        """The origin of a run that starts now.

        Raises:
            ValueError: Its cell has an error.
        """
        return cls(digest_pipeline(benchmark.pipeline(run, check=False)), code_version())


def collect(
    benchmark: Benchmark,
    run: Run,
    work_dir: Path,
    command: str,
    origin: Origin,
    cost: bool = True,
) -> dict[str, Any]:
    """Collect the result of a finished pipeline.

    Args:
        benchmark: The benchmark.
        run: The run.
        work_dir: The benchmark's working directory.
        command: The command that made it.
        origin: As it was when the run started.
        cost: False if stages that measure a cost were left out.

    Raises:
        ValueError: The pipeline is not finished.
    """
    pipeline = benchmark.pipeline(run, work_dir, check=False)
    state = State(pipeline.context.work_dir)
    records = state.stages
    outputs: dict[str, Any] = {'score': {}, 'cost': {}}
    stages = {
        name: stage for name, stage in pipeline.stages.items() if cost or stage.kind != 'cost'
    }
    trainings = [name for name, stage in stages.items() if stage.kind == 'train']
    for name, stage in stages.items():
        record = records.get(name)
        if record is None or record.status != 'done':
            raise ValueError(f'{run.name}: stage {name!r} is not done; run the benchmark again')
        if stage.kind in outputs:
            outputs[stage.kind] = json.loads(state.output(name).read_text('utf-8'))
    return {
        'benchmark': benchmark.name,
        'pair': run.pair,
        'method': run.method,
        'seed': run.seed,
        'digest': origin.digest,
        'points': {point: _compact(metrics) for point, metrics in outputs['score'].items()},
        'cost': outputs['cost'],
        'seconds': {name: round(records[name].seconds, 1) for name in stages},
        'training': trainings[-1] if trainings else None,
        'code': origin.code,
        'machine': ', '.join([processor_name(), *accelerators(), platform.system()]),
        'command': command,
        'finished': datetime.now(timezone.utc).isoformat(timespec='seconds'),
    }


def _compact(metrics: dict[str, float]) -> dict[str, float]:
    """Round metrics, and leave out those that are NaN: classes that a set lacks."""
    return {key: round(value, 6) for key, value in metrics.items() if not math.isnan(value)}


def code_version(directory: Path = Path(__file__).parent) -> dict[str, str]:
    """Version of the package and, in a git checkout, its commit.

    ``+`` marks local changes, but for those in ``docs``, where benchmarks write their pages.
    """
    version = {'version': __version__}
    git = ['git', '-C', str(directory)]
    describe = [*git, 'describe', '--always', '--abbrev=12', '--exclude=*']
    of_code = ['--', ':/', ':(top,exclude)docs']
    status = [*git, 'status', '--porcelain', '--untracked-files=no', *of_code]
    try:
        commit, changes = (
            subprocess.run(each, capture_output=True, text=True, check=True).stdout.strip()
            for each in (describe, status)
        )
    except (OSError, subprocess.CalledProcessError):
        return version
    return {**version, 'commit': f'{commit}+' if changes else commit}


def accelerators() -> list[str]:
    """Names of the GPUs that trainings use, each once."""
    found = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return [*dict.fromkeys(torch.cuda.get_device_name(index) for index in found)]


def processor_name() -> str:
    """Name of the processor."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()
