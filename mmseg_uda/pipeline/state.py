"""What a pipeline has done so far: ``pipeline.json``, and ``report.md`` for people."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.stages.base import Result
from mmseg_uda.stages.inputs import output_digest

__all__ = ['RECIPE_NAME', 'Entry', 'State', 'differences', 'read_recipe']

FORMAT_VERSION = 1
RECIPE_NAME = 'recipe.json'


@dataclasses.dataclass
class Entry:
    """One stage.

    Args:
        type: Its type.
        status: ``running``, ``done``, ``failed`` or ``interrupted``.
        digest: Digest of its recipe.
        outputs: Part and path, relative to the pipeline's folder.
        digests: Part and digest of the content.
        seconds: Time of all attempts that have ended.
        attempts: How often it was started.
        started: When the current attempt was, in seconds since 1970.
        processes: Number of processes of the current attempt.
        metrics: As in :class:`Result`.
        coverage: As in :class:`Result`.
        error: What it failed with.
        note: What was moved out of its way.
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
    """The entries of all stages that were started, kept in ``pipeline.json``.

    Args:
        folder: Folder of the pipeline.

    Raises:
        ValueError: The file is damaged, or another version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / 'pipeline.json'
        self.entries: dict[str, Entry] = {}
        if self.path.is_file():
            try:
                content = json.loads(self.path.read_text(encoding='utf-8'))
                if content['format_version'] != FORMAT_VERSION:
                    raise ValueError(f'it has format version {content["format_version"]}')
                self.entries = {key: Entry(**each) for key, each in content['stages'].items()}
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f'{self.path} cannot be read ({error}); delete it: stages whose '
                    'folders are whole are recognised'
                ) from error

    def save(self) -> None:
        """Write the file, as a whole or not at all."""
        content = {
            'format_version': FORMAT_VERSION,
            'stages': {name: dataclasses.asdict(entry) for name, entry in self.entries.items()},
        }
        with atomic_write(self.path) as partial:
            partial.write_text(json.dumps(content, indent=1), encoding='utf-8')

    def begin(
        self,
        name: str,
        kind: str,
        recipe: dict[str, Any],
        digest: str,
        processes: int,
        resumed: bool,
        note: str,
    ) -> None:
        """A stage starts, or goes on with what an earlier attempt left."""
        entry = (self.entries.get(name) if resumed else None) or Entry(kind, note=note)
        if entry.attempts and entry.status == 'running':  # killed, soon after its last sign
            entry.seconds += max(0.0, last_sign(self.folder / name) - entry.started)
        self.entries[name] = dataclasses.replace(
            entry,
            status='running',
            digest=digest,
            attempts=entry.attempts + 1,
            error='',
            started=time.time(),
            processes=processes,
        )
        with atomic_write(self.folder / name / RECIPE_NAME) as partial:
            partial.write_text(json.dumps(recipe, indent=1, sort_keys=True), encoding='utf-8')
        self.save()

    def finish(self, name: str, result: Result) -> None:
        """A stage has ended well.

        Raises:
            FileNotFoundError: It did not write its output.
        """
        self._stop(name, 'done')
        entry = self.entries[name]
        entry.outputs = {
            part: path.resolve().relative_to(self.folder.resolve()).as_posix()
            for part, path in result.outputs.items()
        }
        entry.digests = {part: output_digest(path) for part, path in result.outputs.items()}
        for part, digest in entry.digests.items():
            if digest is None:
                raise FileNotFoundError(
                    f'stage {name!r} ended without its output {result.outputs[part]}'
                )
        entry.metrics, entry.coverage = result.metrics, result.coverage
        self.save()

    def fail(self, name: str, status: str, error: str) -> None:
        """A stage was stopped."""
        self._stop(name, status)
        self.entries[name].error = error
        self.save()

    def _stop(self, name: str, status: str) -> None:
        entry = self.entries[name]
        entry.status = status
        entry.seconds += time.time() - entry.started
        entry.started = time.time()

    def changed_output(self, name: str) -> str:
        """The first output of a finished stage that is not as it was; empty if all are."""
        entry = self.entries[name]
        for part, path in entry.outputs.items():
            if output_digest(self.folder / path) != entry.digests[part]:
                return path
        return ''


def last_sign(folder: Path) -> float:
    """When something was last written below a folder, in seconds since 1970."""
    times = []
    for path in folder.rglob('*'):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def read_recipe(folder: Path) -> dict[str, Any] | None:
    """What a stage's folder was made with; None if it does not say."""
    try:
        return json.loads((folder / RECIPE_NAME).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None


def differences(old: Any, new: Any, path: str = '') -> list[str]:
    """Where two nested values differ, one line each: ``path: old -> new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(key, old.get(key), new.get(key)) for key in sorted({*old, *new})]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(old, new))]
    else:
        return [] if old == new else [f'{path}: {_short(old)} -> {_short(new)}']
    return [
        line
        for key, one, other in pairs
        for line in differences(one, other, f'{path}.{key}' if path else key)
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
