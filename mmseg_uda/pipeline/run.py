"""The run of a pipeline: finished stages are skipped, interrupted ones resumed."""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.logging import MMLogger

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.config.problems import ConfigError, Problem
from mmseg_uda.config.tables import Table, choose
from mmseg_uda.pipeline.plan import Plan, plan_stage
from mmseg_uda.pipeline.report import format_report, keep_other_report
from mmseg_uda.pipeline.reuse import adopt, find_finished
from mmseg_uda.pipeline.state import StageRecord, State
from mmseg_uda.pipeline.tables import format_table
from mmseg_uda.stages.base import Stage
from mmseg_uda.stages.context import PipelineContext
from mmseg_uda.stages.references import split_reference
from mmseg_uda.utils.processes import on_main
from mmseg_uda.utils.terminal import prepare_terminal
from mmseg_uda.utils.work_dir import lock_directory

__all__ = ['Pipeline']

_runs = itertools.count()  # runners of one process must not share names, see `load_to_run`


class Pipeline:
    """Stages that run in order, each in a directory of its own; see ``read_pipeline``.

    Args:
        context: Values that the stages share.
        stages: Checked stages.
        env_cfg: As for mmengine's runner: settings of the connection between processes.
        table: The table of ablations that the stages are of, for the report.
        reuse: Directories of other pipelines whose finished stages are taken.
    """

    def __init__(
        self,
        context: PipelineContext,
        stages: Sequence[Stage],
        env_cfg: dict[str, Any],
        table: Table | None = None,
        reuse: Sequence[Path] = (),
    ) -> None:
        self.context = context
        self.stages = {stage.name: stage for stage in stages}
        self.env_cfg = env_cfg
        self.table = table
        self.reuse = reuse

    @functools.cached_property
    def selected(self) -> set[str]:
        """Names of the stages whose results follow from a choice by labels of the target."""
        found: set[str] = set()
        for name, stage in self.stages.items():
            for reference in stage.references:
                other, part = split_reference(reference)
                if other in found or part in self.stages[other].labelled_parts():
                    found.add(name)
        return found

    def check_inputs(self) -> None:
        """Check that all data and weights exist that no stage makes, apart from the work_dir.

        Raises:
            ValueError: Names all that is missing, each once, with the first stage and key that read
                it; or the file that is in the way.
        """
        missing: dict[str, Problem] = {}
        for stage in self.stages.values():
            for item, text in stage.missing():
                missing.setdefault(item, Problem(f'stage {stage.name!r}', text))
        if missing:
            raise ConfigError([*missing.values()])
        for stage in self.stages.values():
            inputs = (each for each in stage.inputs() if not each.pending)
            reads = itertools.chain.from_iterable(each.directories() for each in inputs)
            check_output(f'stage {stage.name!r}: work_dir', self.context.work_dir, reads)

    def plan(self, start: str | None = None, end: str | None = None) -> list[Plan]:
        """Plan stages as far as it can be told now; nothing is written.

        Args:
            start: As for :meth:`run`.
            end: As for :meth:`run`.

        Raises:
            ValueError: As :meth:`run`.
        """
        wanted = self._until(end, start)
        self.check_inputs()  # first: an error here costs seconds, a digest of all data minutes
        if start is not None:
            choose('stage', start, self.stages, '--from')
        state = State(self.context.work_dir)
        plans: dict[str, Plan] = {}
        for name, stage in self.stages.items():
            if start in (name, *plans):
                action = 'replace' if name in state.stages else 'run'
                plans[name] = Plan(name, action, f'from {start!r} on')
                continue
            pending = [other for other, plan in plans.items() if plan.action != 'skip']
            plans[name] = self._reused(plan_stage(stage, state, pending))[0]
            if start is not None and plans[name].action != 'skip':
                raise ValueError(
                    f'--from got {start!r}, but stage {name!r} before it is not done '
                    f'({plans[name].reason}); leave --from out'
                )
        return [plans[name] for name in wanted]

    def _reused(self, plan: Plan) -> tuple[Plan, tuple[State, str] | None]:
        """Plan to take another pipeline's result where a stage would begin and there is one."""
        begins = plan.action in ('run', 'replace') and plan.recipe
        found = find_finished(plan, self.reuse) if begins else None
        if found is None:
            return plan, None
        reason = f'the same as {found[0].directory / found[1]}'
        return dataclasses.replace(plan, action='reuse', reason=reason), found

    def describe(self, plan: Plan) -> str:
        """Describe a plan in a few lines."""
        stage = self.stages[plan.stage]
        arguments = (f'      {key}: {value}' for key, value in stage.arguments.items())
        title = f'{self._title(plan.stage)} ({stage.kind}): {plan.action}, {plan.reason}'
        return '\n'.join([title, *arguments])

    def run(self, start: str | None = None, end: str | None = None) -> None:
        """Run the stages that are not done. All processes call this.

        Args:
            start: Run this stage and all after it again, even if another pipeline has their
                results; those before it must be done.
            end: Run none after this stage.

        Raises:
            ValueError: An input is missing, or stages before ``start`` are not done; there is no
                stage ``end``, or it comes before ``start``.
            RuntimeError: Another start of the pipeline works in the directory.
            Exception: A stage failed: its own error.
        """
        wanted = self._until(end, start)
        on_main(self.check_inputs if start is None else functools.partial(self.plan, start))
        # The processes decide together: each stage is planned by the first one.
        lock = lock_directory(self.context.work_dir, 'pipeline.lock', 'pipeline')
        with lock, self._logger() as log:
            on_main(lambda: keep_other_report(self.context.work_dir))
            on_main(lambda: self._archive_from(start))
            reuse = True
            for name in wanted:
                reuse = reuse and name != start
                plan, records = on_main(functools.partial(self._begin, name, reuse))
                log.info(f'{self._title(name)}: {plan.action}, {plan.reason}')
                if plan.action not in ('skip', 'reuse'):
                    self._execute(name, records, log)
            report = self.context.work_dir / 'report.md'
            rest = len(self.stages) - len(wanted)
            left = f'; {rest} after --until are left' if rest else ''
            log.info(f'all {len(wanted)} stages are done, see {report}{left}')

    def _until(self, end: str | None, start: str | None) -> list[str]:
        """Names of the stages up to one."""
        names = list(self.stages)
        if end is None:
            return names
        choose('stage', end, self.stages, '--until')
        names = names[: names.index(end) + 1]
        if start in self.stages and start not in names:
            raise ValueError(
                f'--until: expected a stage from {start!r} on, as --from says, but got {end!r}'
            )
        return names

    def output(self, name: str) -> Path:
        """Give the path of what a finished stage made, ``{NAME}`` in the config."""
        return State(self.context.work_dir).output(name)

    def _title(self, name: str) -> str:
        return f'[{list(self.stages).index(name) + 1}/{len(self.stages)}] {name}'

    def _archive_from(self, start: str | None) -> None:
        """Archive a stage and all after it, and forget their records."""
        if start is None:
            return
        state = State(self.context.work_dir)
        for name in itertools.dropwhile(lambda name: name != start, self.stages):
            self._archive(name)
            state.stages.pop(name, None)
        state.save()

    def _archive(self, name: str) -> str:
        """Move a stage's directory, if there is one, to where nothing reads it."""
        directory = self.stages[name].directory
        number = 1
        while (archived := self.context.work_dir / 'replaced' / f'{name}-{number}').exists():
            number += 1
        if directory.is_dir():
            archived.parent.mkdir(parents=True, exist_ok=True)
            directory.rename(archived)
        return archived.relative_to(self.context.work_dir).as_posix()

    def _begin(self, name: str, reuse: bool) -> tuple[Plan, dict[str, StageRecord]]:
        """Plan a stage and, unless it is done, record that it runs."""
        # Read again for each stage: any process may have recorded a failure.
        state = State(self.context.work_dir)
        plan, found = plan_stage(self.stages[name], state), None
        if reuse:
            plan, found = self._reused(plan)
        if plan.action == 'replace' or (found and self.stages[name].directory.is_dir()):
            plan.reason += f'; former results are in {self._archive(name)}'
        if found is not None:
            adopt(state, plan, found)
        elif plan.action != 'skip':
            state.begin(plan, get_world_size())
        self._report(state)
        return plan, state.stages

    def _execute(self, name: str, records: dict[str, StageRecord], log: MMLogger) -> None:
        def resolve(reference: str) -> str:
            stage, part = split_reference(reference)
            return str(self.context.work_dir / records[stage].outputs[part])

        stage = self.stages[name]
        experiment = f'{self.context.name}-{name}-{records[name].attempts}-{next(_runs)}'
        try:
            with _restored_backends():
                result = stage.run(resolve, experiment)
            barrier()  # outputs are whole once every process has ended the stage
            on_main(lambda: self._finish(name, result))
        except BaseException as error:  # an interruption is recorded, too
            text = f'{type(error).__name__}: {error}'
            stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
            with suppress(OSError):  # of a full disk, which may be what stopped the stage
                log.error(f'{self._title(name)} ({stage.kind}) stopped with {text}')
                self._fail(name, 'interrupted' if stopped else 'failed', text)
            raise
        log.info(f'{self._title(name)}: done, see {stage.directory}')

    def _finish(self, name: str, result: Any) -> None:
        state = State(self.context.work_dir)
        state.finish(name, result)
        self._report(state)

    def _fail(self, name: str, status: str, error: str) -> None:
        """Record a failure; any process may fail alone, while the others wait for it."""
        state = State(self.context.work_dir)
        if state.stages[name].status == 'running':  # else another process recorded its error
            state.fail(name, status, error)
            self._report(state)

    def _report(self, state: State) -> None:
        kinds = {name: stage.kind for name, stage in self.stages.items()}
        text = format_report(self.context.name, kinds, state.stages, self.selected)
        if self.table is not None:
            text += '\n'.join([*format_table(self.table, state.stages, self.selected), ''])
        with atomic_write(self.context.work_dir / 'report.md') as partial:
            partial.write_text(text, encoding='utf-8')

    @contextmanager
    def _logger(self) -> Iterator[MMLogger]:
        """A logger beside those of the runners, on ``pipeline.log``."""
        file = str(self.context.work_dir / 'pipeline.log') if is_main_process() else None
        name = f'{self.context.name}-{next(_runs)}'
        log = MMLogger(name, logger_name='pipeline', log_file=file, file_mode='a')
        prepare_terminal(log)
        try:
            yield log
        finally:
            for handler in log.handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.close()


@contextmanager
def _restored_backends() -> Iterator[None]:
    """Restore what a runner sets for the whole process, and free what it held."""
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
