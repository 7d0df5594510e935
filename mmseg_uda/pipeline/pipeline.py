"""Running a pipeline: what is done is skipped, what was cut off goes on."""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.logging import MMLogger

from mmseg_uda.artifacts.digests import config_digest
from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.config.tables import Table
from mmseg_uda.pipeline.report import format_report
from mmseg_uda.pipeline.state import RECIPE_NAME, Entry, State, differences, read_recipe
from mmseg_uda.pipeline.tables import format_table
from mmseg_uda.stages.base import Settings, Stage
from mmseg_uda.stages.references import split_reference
from mmseg_uda.utils.processes import on_main

__all__ = ['Pipeline', 'Step']

LOCK_TIMEOUT = 20.0  # seconds; workers of a killed process live on for a few
_runs = itertools.count()  # runners of one process must not share names, see `load_to_run`


@dataclasses.dataclass
class Step:
    """What is to be done about a stage.

    Args:
        stage: Its name.
        action: ``skip``, ``run``, ``resume``, or ``replace``: move its folder away and run.
        reason: Why.
        recipe: All that decides the result; empty if an earlier stage must run first.
        digest: Its digest.
    """

    stage: str
    action: str
    reason: str
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    digest: str = ''


class Pipeline:
    """Stages that run in order, each in a folder of its own; see ``read_pipeline``.

    Args:
        settings: What the stages share.
        stages: Stages that were checked.
        env_cfg: As for mmengine's runner; how the processes are connected.
        table: The table of ablations that the stages are of, for the report.
    """

    def __init__(
        self,
        settings: Settings,
        stages: Sequence[Stage],
        env_cfg: dict[str, Any],
        table: Table | None = None,
    ) -> None:
        self.settings = settings
        self.stages = {stage.name: stage for stage in stages}
        self.env_cfg = env_cfg
        self.table = table

    def plan(self, start: str | None = None) -> list[Step]:
        """What :meth:`run` would do now, as far as it can be told; nothing is written.

        Raises:
            ValueError: An input is missing, or stages before ``start`` are not done.
        """
        self._check(start)
        state = State(self.settings.work_dir)
        steps: list[Step] = []
        pending: set[str] = set()
        for name in self.stages:
            if start in (name, *pending):
                step = Step(
                    name, 'replace' if name in state.entries else 'run', f'from {start!r} on'
                )
            else:
                step = self._decide(name, state, pending)
            if step.action != 'skip':
                pending.add(name)
            steps.append(step)
        return steps

    def describe(self, step: Step) -> str:
        """A step of a plan in a few lines."""
        stage = self.stages[step.stage]
        number = list(self.stages).index(step.stage) + 1
        lines = [
            f'[{number}/{len(self.stages)}] {step.stage} ({stage.kind}): {step.action}, '
            f'{step.reason}'
        ]
        return '\n'.join(
            [*lines, *(f'      {key}: {value}' for key, value in stage.arguments.items())]
        )

    def run(self, start: str | None = None) -> None:
        """Run what is not done. All processes call this.

        Args:
            start: Run this stage and all after it again; those before it must be done.

        Raises:
            ValueError: An input is missing, or stages before ``start`` are not done.
            RuntimeError: Another start of the pipeline works in the folder.
            Exception: A stage failed: its own error.
        """
        on_main(lambda: self._check(start))
        with self._alone(), self._logger() as log:
            on_main(lambda: self._clear(start))
            for number, name in enumerate(self.stages, 1):
                title = f'[{number}/{len(self.stages)}] {name}'
                step, entries = on_main(functools.partial(self._begin, name))
                log.info(f'{title}: {step.action}, {step.reason}')
                if step.action != 'skip':
                    self._execute(name, entries, title, log)
            log.info(
                f'all {len(self.stages)} stages are done, see '
                f'{self.settings.work_dir / "report.md"}'
            )

    def _check(self, start: str | None) -> None:
        for stage in self.stages.values():
            stage.check_inputs()
        if start is None:
            return
        if start not in self.stages:
            raise ValueError(f'--from got {start!r}; write one of {", ".join(self.stages)}')
        state = State(self.settings.work_dir)
        for name in itertools.takewhile(lambda name: name != start, self.stages):
            step = self._decide(name, state, set())
            if step.action != 'skip':
                raise ValueError(
                    f'--from got {start!r}, but stage {name!r} before it is not done '
                    f'({step.reason}); leave --from out'
                )

    def _clear(self, start: str | None) -> None:
        """Forget what a stage and all after it have made; nothing is deleted."""
        if start is None:
            return
        state = State(self.settings.work_dir)
        for name in itertools.dropwhile(lambda name: name != start, self.stages):
            self._move_away(name)
            state.entries.pop(name, None)
        state.save()

    def _decide(self, name: str, state: State, pending: set[str]) -> Step:
        stage = self.stages[name]
        needed = [split_reference(reference) for reference in stage.references]
        waiting = [other for other, _ in needed if other in pending]
        if waiting:
            return Step(name, 'run', f'needs {waiting[0]!r}, which runs first')
        upstream = {}
        for reference, (other, part) in zip(stage.references, needed):
            upstream[reference] = state.entries[other].digests.get(part)
            if upstream[reference] is None:
                raise ValueError(
                    f'stage {name!r}: refers to {{{reference}}}, but {other!r} ended '
                    f'without one; look at its validation and save_best'
                )
        recipe = json.loads(
            json.dumps({'type': stage.kind, **stage.recipe(), 'needs': upstream}, default=str)
        )
        digest = config_digest(recipe)
        entry = state.entries.get(name)
        if entry is not None and entry.status == 'done' and entry.digest == digest:
            changed = state.changed_output(name)
            action, reason = (
                ('replace', f'its output {changed} is gone or was changed')
                if changed
                else ('skip', 'it is done')
            )
        else:
            action, reason = self._compare(stage.folder, recipe, entry)
        return Step(name, action, reason, recipe, digest)

    @staticmethod
    def _compare(folder: Path, recipe: dict[str, Any], entry: Entry | None) -> tuple[str, str]:
        """Whether a folder that is there can be gone on with."""
        if not folder.is_dir() or not any(folder.iterdir()):
            return 'run', 'it is not done'
        old = read_recipe(folder)
        if old == recipe:
            failed = entry is not None and entry.status == 'failed'
            return 'resume', 'it failed' if failed else 'it was cut off'
        changes = differences(old, recipe) if old else [f'its folder has no {RECIPE_NAME}']
        more = f' and {len(changes) - 2} more' if len(changes) > 2 else ''
        return 'replace', f'changed: {"; ".join(changes[:2])}{more}'

    def _begin(self, name: str) -> tuple[Step, dict[str, Entry]]:
        """Decide about a stage and, unless it is done, write down that it runs."""
        state = State(self.settings.work_dir)
        step = self._decide(name, state, set())
        if step.action != 'skip':
            note = ''
            if step.action == 'replace':
                note = f'{step.reason}; former results are in {self._move_away(name)}'
                step.reason = note
            state.begin(
                name,
                self.stages[name].kind,
                step.recipe,
                step.digest,
                get_world_size(),
                step.action == 'resume',
                note,
            )
        self._report(state)
        return step, state.entries

    def _move_away(self, name: str) -> str:
        """Move a stage's folder, if there is one, to where nothing reads it."""
        folder = self.stages[name].folder
        number = 1
        while (place := self.settings.work_dir / 'replaced' / f'{name}-{number}').exists():
            number += 1
        if folder.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(place)
        return place.relative_to(self.settings.work_dir).as_posix()

    def _execute(self, name: str, entries: dict[str, Entry], title: str, log: MMLogger) -> None:
        def lookup(reference: str) -> str:
            stage, part = split_reference(reference)
            return str(self.settings.work_dir / entries[stage].outputs[part])

        experiment = f'{self.settings.name}-{name}-{entries[name].attempts}-{next(_runs)}'
        try:
            with _backend_flags():
                result = self.stages[name].run(lookup, experiment)
            barrier()
            on_main(lambda: self._finish(name, result))
        except BaseException as error:
            stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
            log.error(
                f'{title} ({self.stages[name].kind}) stopped with {type(error).__name__}: {error}'
            )
            self._fail(name, 'interrupted' if stopped else 'failed', error)
            raise
        log.info(f'{title}: done, see {self.stages[name].folder}')

    def _finish(self, name: str, result: Any) -> None:
        state = State(self.settings.work_dir)
        state.finish(name, result)
        self._report(state)

    def _fail(self, name: str, status: str, error: BaseException) -> None:
        """Any process may fail alone, while the others wait for it."""
        state = State(self.settings.work_dir)
        if state.entries[name].status == 'running':
            state.fail(name, status, f'{type(error).__name__}: {error}')
            self._report(state)

    def _report(self, state: State) -> None:
        stages = [(name, self.stages[name].kind) for name in self.stages]
        text = format_report(self.settings.name, stages, state.entries)
        if self.table is not None:
            text += '\n'.join([*format_table(self.table, state.entries), ''])
        with atomic_write(self.settings.work_dir / 'report.md') as partial:
            partial.write_text(text, encoding='utf-8')

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other starts out of the folder; the lock goes with the process."""
        folder = self.settings.work_dir
        lock = FileLock(folder / 'pipeline.lock')

        def acquire() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=LOCK_TIMEOUT)
            except Timeout:
                raise RuntimeError(
                    f'{folder}: a pipeline runs in this folder; wait for it, or '
                    'write another --work-dir'
                ) from None

        on_main(acquire)
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _logger(self) -> Iterator[MMLogger]:
        """A logger beside those of the runners, on ``pipeline.log``."""
        file = self.settings.work_dir / 'pipeline.log' if is_main_process() else None
        log = MMLogger(
            f'{self.settings.name}-{next(_runs)}',
            logger_name='pipeline',
            log_file=file and str(file),
            file_mode='a',
        )
        try:
            yield log
        finally:
            for handler in log.handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.close()


@contextmanager
def _backend_flags() -> Iterator[None]:
    """Take back what a runner sets for the whole process, and free what it held."""
    cudnn = torch.backends.cudnn
    flags = cudnn.benchmark, cudnn.deterministic
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = flags
        torch.use_deterministic_algorithms(deterministic)
        if torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()
