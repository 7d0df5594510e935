"""The state of a pipeline, kept in ``pipeline.json``."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg_uda.artifacts.digest import digest_path
from mmseg_uda.artifacts.files import explain_read_errors, safe_join, write_json
from mmseg_uda.artifacts.recipe import check_content, check_version
from mmseg_uda.stages.base import Result

if TYPE_CHECKING:
    from mmseg_uda.pipeline.plan import Plan

__all__ = ['RECIPE_NAME', 'STAGE_NAME', 'STATE_NAME', 'StageRecord', 'State', 'read_recipe']

FORMAT_VERSION = 1
STATE_NAME, RECIPE_NAME = 'pipeline.json', 'recipe.json'
STAGE_NAME = re.compile(r'[A-Za-z0-9][\w-]*')  # its directory's, which never leads elsewhere


@dataclasses.dataclass
class StageRecord:
    """The record of a stage that was started.

    Args:
        type: Its type.
        status: ``running``, ``done``, ``failed`` or ``interrupted``.
        digest: Digest of its recipe.
        outputs: Part and path, relative to the pipeline's directory.
        digests: Part and digest of the content.
        seconds: Time of all attempts that have ended.
        attempts: Number of starts.
        started: Start of the current attempt, in seconds since 1970.
        processes: Number of processes of the current attempt.
        metrics: As in :class:`Result`.
        coverage: As in :class:`Result`.
        error: The error that it failed with.
        note: The place of results that were archived.
    """

    type: str
    status: str = 'running'
    digest: str = ''
    outputs: dict[str, str] = dataclasses.field(default_factory=dict)
    digests: dict[str, str | None] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    attempts: int = 0
    started: float = 0.0
    processes: int = 1
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    coverage: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    error: str = ''
    note: str = ''


class State:
    """The records of all stages that were started.

    Args:
        directory: Directory of the pipeline.

    Raises:
        ValueError: The file is damaged, another version wrote it, or it names a stage or an output
            that does not lie below the directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / STATE_NAME
        self.stages: dict[str, StageRecord] = {}
        if self.path.is_file():
            remedy = 'rename it: stages whose directories are whole are recognised'
            with explain_read_errors('State', self.path, remedy):
                content = check_content(json.loads(self.path.read_text(encoding='utf-8')))
                # A record of another version would make a finished stage look changed.
                check_version(content.get('format_version'), FORMAT_VERSION)
                stages = check_content(check_content(content, ['stages'])['stages'])
                self.stages = {key: StageRecord(**each) for key, each in stages.items()}
                for name in stages:
                    if not STAGE_NAME.fullmatch(name):
                        raise ValueError(f'expected names of stages, but got {name!r}')
                outputs = [name for each in self.stages.values() for name in each.outputs.values()]
            for name in outputs:
                safe_join(directory, name, self.path)

    def save(self) -> None:
        """Write the file atomically."""
        stages = {name: dataclasses.asdict(record) for name, record in self.stages.items()}
        write_json(self.path, {'format_version': FORMAT_VERSION, 'stages': stages})

    def begin(self, plan: Plan, processes: int) -> None:
        """Record that a stage starts, or goes on with what an earlier attempt left."""
        record = self.stages.get(plan.stage) if plan.action == 'resume' else None
        if record is None:
            note = plan.reason if plan.action == 'replace' else ''
            record = StageRecord(plan.recipe['type'], note=note)
        elif record.status == 'running':  # it was killed, soon after its last sign of life
            last_sign = _last_change(self.directory / plan.stage)
            record.seconds += max(0.0, last_sign - record.started)
        record.status, record.digest, record.error = 'running', plan.digest, ''
        record.attempts, record.processes = record.attempts + 1, processes
        record.started = time.time()
        self.stages[plan.stage] = record
        # The directory's own recipe survives if pipeline.json is deleted or the directory moved.
        write_json(self.directory / plan.stage / RECIPE_NAME, plan.recipe)
        self.save()

    def finish(self, name: str, result: Result) -> None:
        """Record that a stage has ended well.

        Raises:
            FileNotFoundError: It did not write its output.
        """
        record = self._stop(name, 'done')
        for part, path in result.outputs.items():
            record.outputs[part] = path.resolve().relative_to(self.directory.resolve()).as_posix()
            record.digests[part] = digest_path(path)
            if record.digests[part] is None:
                raise FileNotFoundError(f'stage {name!r} ended without its output {path}')
        record.metrics, record.coverage = result.metrics, result.coverage
        self.save()

    def fail(self, name: str, status: str, error: str) -> None:
        """Record that a stage was stopped."""
        self._stop(name, status).error = error
        self.save()

    def _stop(self, name: str, status: str) -> StageRecord:
        record = self.stages[name]
        record.status = status
        record.seconds += time.time() - record.started
        record.started = time.time()  # so that a second stop adds no time
        return record

    def output(self, name: str) -> Path:
        """Give the path of what a finished stage made, ``{NAME}`` in the pipeline's config."""
        return self.directory / self.stages[name].outputs['output']

    def changed_output(self, name: str) -> str:
        """Find the first output of a finished stage that has changed; empty if none has."""
        record = self.stages[name]
        for part, path in record.outputs.items():
            if digest_path(self.directory / path) != record.digests[part]:
                return path
        return ''


def _last_change(directory: Path) -> float:
    """Find the last change of a file below a directory, in seconds since 1970."""
    times = [0.0]
    for path in directory.rglob('*'):
        try:
            times.append(path.stat().st_mtime)
        except OSError:  # a temporary file that is gone by now
            continue
    return max(times)


def read_recipe(directory: Path) -> dict[str, Any] | None:
    """Read the recipe of a stage's directory; None if there is none."""
    try:
        return json.loads((directory / RECIPE_NAME).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
