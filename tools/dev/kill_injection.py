"""Writes of a process, recorded or cut off by SIGKILL; for ``kill_test.py``, nothing else.

:func:`instrument` wraps ``open`` and the renames of ``os`` in the calling process and in those that
it forks. What is written to files below a directory is an *event*, and so is each rename. Logs and
locks are none.
"""

from __future__ import annotations

import builtins
import io
import json
import mmap
import os
import re
import shutil
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ['PHASES', 'Blow', 'Event', 'Watch', 'instrument']

PHASES = (
    'before first write',
    'inside a write',
    'between write and rename',
    'after rename',
    'elsewhere',
)
BEFORE, INSIDE, BETWEEN, AFTER, ELSEWHERE = range(len(PHASES))
NO_EVENT = re.compile(r'\.(log|lock)$|/vis_data/|(^|/)\d{8}_\d{6}/')


class Event(NamedTuple):
    """A file that was written, or a rename.

    Args:
        kind: ``'write'`` or ``'rename'``.
        path: The file, or the new name, relative to the directory.
        size: Bytes that were written.
        time: Seconds since the start.
    """

    kind: str
    path: str
    size: int
    time: float


class Blow(NamedTuple):
    """The moment of a kill.

    Args:
        phase: Index in :data:`PHASES`.
        number: Number of the event; for :data:`ELSEWHERE` it is of no account.
        size: Bytes of the file that are written before.
        time: For :data:`ELSEWHERE`, seconds after the start.
    """

    phase: int
    number: int = 0
    size: int = 0
    time: float = 0.0


class Watch:
    """Memory that a process and its children share with the one that watches them.

    Args:
        record: File that gets the events, a line each.
    """

    def __init__(self, record: Path) -> None:
        self._memory = mmap.mmap(-1, 16)
        self._record = os.open(record, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_APPEND)
        self._start = time.monotonic()

    @property
    def phase(self) -> int:
        """Index in :data:`PHASES` of what the process does."""
        return struct.unpack_from('q', self._memory, 0)[0]

    @phase.setter
    def phase(self, value: int) -> None:
        struct.pack_into('q', self._memory, 0, value)

    def next_number(self) -> int:
        """Count an event."""
        number = struct.unpack_from('q', self._memory, 8)[0]
        struct.pack_into('q', self._memory, 8, number + 1)
        return number

    def note(self, number: int, kind: str, path: str, size: int) -> None:
        """Record an event."""
        line = json.dumps([number, kind, path, size, time.monotonic() - self._start])
        os.write(self._record, f'{line}\n'.encode())

    def close(self) -> list[Event]:
        """Give the events in the order in which they began, and free everything."""
        lines = os.pread(self._record, os.fstat(self._record).st_size, 0).splitlines()
        os.close(self._record)
        self._memory.close()
        return [Event(*event) for _, *event in sorted(map(json.loads, lines))]


def die() -> None:
    """End the process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


class _File(io.FileIO):
    """A file that knows how many bytes it took, and may end the process at one of them."""

    def __init__(self, path: str, mode: str, name: str, watch: Watch, blow: Blow | None) -> None:
        self._name, self._watch = name, watch
        self._number = watch.next_number()
        mine = blow is not None and blow.number == self._number
        if mine and blow is not None and blow.phase == BEFORE:
            die()
        self._left = blow.size if mine and blow is not None and blow.phase == INSIDE else None
        self._written = 0
        watch.phase = INSIDE
        super().__init__(path, mode)

    def write(self, data: Any) -> int:
        content = memoryview(data).cast('B')
        if self._left is not None and len(content) > self._left:
            super().write(content[: self._left])
            die()
        count = super().write(content) or 0
        self._written += count
        if self._left is not None:
            self._left -= count
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._watch.phase = BETWEEN if self._name.endswith('.tmp') else ELSEWHERE
            self._watch.note(self._number, 'write', self._name, self._written)


def instrument(root: Path, watch: Watch, blow: Blow | None = None) -> None:
    """Watch this process, which never writes otherwise again.

    Args:
        root: Directory whose files count.
        watch: Gets the events.
        blow: The kill; None for none.
    """
    plain_open = builtins.open

    def name_of(path: Any) -> str | None:
        if not isinstance(path, (str, os.PathLike)):
            return None
        place = os.path.abspath(path)
        below = place.startswith(f'{root}/')
        return place[len(str(root)) + 1 :] if below and not NO_EVENT.search(place) else None

    def open_(file: Any, mode: str = 'r', buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        name = name_of(file)
        if name is None or not set(mode) & set('wx'):
            return plain_open(file, mode, buffering, *args, **kwargs)
        raw = _File(os.fspath(file), mode.replace('t', ''), name, watch, blow)
        buffer: Any = io.BufferedRandom(raw) if '+' in mode else io.BufferedWriter(raw)
        return buffer if 'b' in mode else io.TextIOWrapper(buffer, *args, **kwargs)

    def renamed(rename: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(source: Any, target: Any, **kwargs: Any) -> None:
            name = name_of(target)
            if name is None:
                return rename(source, target, **kwargs)
            number = watch.next_number()
            mine = blow is not None and blow.number == number
            if mine and blow is not None and blow.phase == BETWEEN:
                die()
            rename(source, target, **kwargs)
            watch.phase = AFTER
            if mine:
                die()
            watch.phase = ELSEWHERE
            watch.note(number, 'rename', name, 0)
            return None

        return wrapped

    builtins.open = io.open = open_  # type: ignore[assignment]
    os.replace, os.rename = renamed(os.replace), renamed(os.rename)
    shutil._USE_CP_SENDFILE = False  # type: ignore[attr-defined]  (it would pass `write` by)
