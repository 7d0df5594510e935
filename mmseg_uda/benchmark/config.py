"""The config of a benchmark: a pipeline with a cell per pair and method, and its runs in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.digest import digest_config
from mmseg_uda.benchmark.check import check_benchmark
from mmseg_uda.config.reads import KINDS
from mmseg_uda.config.tables import choose, read_file
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.run import Pipeline
from mmseg_uda.stages.references import split_reference, substitute

__all__ = ['Benchmark', 'Run', 'digest_pipeline', 'read_benchmark']

PATHS = {'data_root', 'data_prefix', 'ann_file', *KINDS}


@dataclasses.dataclass(frozen=True)
class Run:
    """A method on a pair with a seed.

    Args:
        level: Name of the level that asks for it first.
        pair: Name of the pair.
        method: Name of the method.
        seed: The seed.
    """

    level: str
    pair: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Its name, with which ``--only`` begins."""
        return f'{self.pair}/{self.method}-seed{self.seed}'

    @property
    def cell(self) -> str:
        """The cell of the benchmark's file."""
        return f'{self.pair}-{self.method}'

    @property
    def directory(self) -> str:
        """Its working directory below the benchmark's: runs of a pair and seed share stages."""
        return f'{self.pair}-seed{self.seed}'


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Args:
        path: Its file.
        title: Its title.
        description: Lines below the title of its page.
        baseline: The method to which all others are compared seed by seed.
        bar: The method that a method has to beat.
        pairs: Name and title of every pair.
        methods: Name and title of every method, in the order of the tables.
        runs: All runs, in the order in which they are made.
        value: Methods that show what target labels are worth: ``floor``, a list of those without
            adaptation; ``labels``, the number of labelled images by method; and ``ceiling``.
        comparisons: Sections of the page of single changes: ``title`` and ``steps``, each the names
            of the method before the change and of the one after it.
        device: ``'cuda'`` if the runs are for a GPU alone.
    """

    path: Path
    title: str
    description: str
    baseline: str
    bar: str
    pairs: Mapping[str, str]
    methods: Mapping[str, str]
    runs: tuple[Run, ...]
    value: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    comparisons: tuple[Mapping[str, Any], ...] = ()
    device: str = 'cpu'
    _digests: dict[Run, str] = dataclasses.field(default_factory=dict, init=False, compare=False)

    @property
    def name(self) -> str:
        """Its name: that of the file."""
        return self.path.stem

    def select(self, only: Collection[str] | None) -> list[Run]:
        """Select runs.

        Args:
            only: Names of levels, pairs, methods, ``PAIR/METHOD`` or whole runs, one of which a run
                must have; None for all.

        Raises:
            ValueError: A name is unknown.
        """
        chosen = {run: self._names(run) for run in self.runs}
        known = {name for names in chosen.values() for name in names}
        wanted = {choose('run', name, sorted(known), '--only') for name in only or ()}
        return [run for run, names in chosen.items() if only is None or wanted & names]

    @staticmethod
    def _names(run: Run) -> set[str]:
        return {run.level, run.pair, run.method, f'{run.pair}/{run.method}', run.name}

    def pipeline(
        self,
        run: Run,
        work_dir: Path | None = None,
        check: bool = True,
        reuse: Collection[str] = (),
    ) -> Pipeline:
        """Read the pipeline of a run.

        Args:
            run: The run.
            work_dir: The benchmark's working directory.
            check: As for :func:`read_pipeline`.
            reuse: Directories of pipelines whose finished stages are taken.
        """
        directory = (work_dir or Path('work_dirs', self.name)) / run.directory
        options = dict(seed=run.seed, reuse=[*reuse])
        return read_pipeline(self.path, options, directory, cell=run.cell, check=check)

    def digest(self, run: Run) -> str:
        """The digest of a run; see :func:`digest_pipeline`."""
        if run not in self._digests:
            self._digests[run] = digest_pipeline(self.pipeline(run, check=False))
        return self._digests[run]


def read_benchmark(path: str | Path) -> Benchmark:
    """Read a benchmark's file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has an error; see :func:`check_benchmark`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'read_benchmark: no config file {path}')
    content = read_file(path).to_dict()
    check_benchmark(content, path)
    runs: dict[tuple[str, str, int], Run] = {}
    for level, each in content['levels'].items():
        for seed in each['seeds']:
            for pair in each['pairs']:
                for method in each['methods']:
                    run = Run(level, pair, method, seed)
                    choose('cell', run.cell, content['cells'], f'{path}: level {level!r}')
                    runs.setdefault((pair, method, seed), run)
    return Benchmark(
        path,
        title=content['title'],
        description=content.get('description', ''),
        baseline=content['baseline'],
        bar=content['bar'],
        pairs=content['pair_texts'],
        methods=content['texts'],
        runs=(*runs.values(),),
        value=content.get('value') or {},
        comparisons=(*content.get('comparisons', ()),),
        device=content.get('device', 'cpu'),
    )


def digest_pipeline(pipeline: Pipeline) -> str:
    """Compute the digest of what decides a pipeline's result.

    That is the last ``score`` stage, or the last ``cost`` stage of a pipeline without scores.

    It covers the resolved values of all configs and arguments on which the scores depend, and the
    content of weights and datasets (of the latter the names and sizes of files). Names of configs,
    stages and directories do not count: a rename changes no digest.
    """
    digests: dict[str, str] = {}
    last: dict[str, str] = {}
    for name, stage in pipeline.stages.items():
        recipe = substitute(stage.recipe(), lambda each: _digest_of(each, digests))
        for part in {'config', 'arguments'} & recipe.keys():
            recipe[part] = _without_paths(recipe[part])
        digests[name] = digest_config(recipe)
        last[stage.kind] = digests[name]
    if not {'score', 'cost'} & last.keys():
        raise ValueError(f'{pipeline.context.name}: expected a stage of type score, but got none')
    return last.get('score') or last['cost']


def _digest_of(reference: str, digests: Mapping[str, str]) -> str:
    stage, part = split_reference(reference)
    return f'<{digests[stage]}.{part}>' if stage in digests else f'{{{reference}}}'


def _without_paths(value: Any) -> Any:
    """Leave out local paths, whose content is among the inputs; outputs of stages stay."""
    if isinstance(value, (list, tuple)):
        return [_without_paths(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = {}
    for key, item in value.items():
        if key == 'data_prefix' and isinstance(item, Mapping):
            item = {name: path for name, path in item.items() if not _is_local(path)}
            if not item:
                continue
        elif key in PATHS and _is_local(item):
            continue
        kept[key] = _without_paths(item)
    return kept


def _is_local(path: Any) -> bool:
    """Tell a path of this machine, or none, from an output of a stage and from a URL."""
    return path is None or (
        isinstance(path, str) and not path.startswith('<') and '://' not in path
    )
