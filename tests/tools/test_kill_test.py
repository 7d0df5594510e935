"""Kills at chosen moments of writes, and a few of each entry point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toys

from mmseg_uda.artifacts.files import atomic_write, write_json

DEV = toys.ROOT / 'tools' / 'dev'
injection = toys.load_script(DEV / 'kill_injection.py')


def run(out: Path, blow: object = None) -> tuple[int, str, list[tuple[str, str, int]]]:
    """Write three files in a process of its own; give its status, last phase and events."""
    watch = injection.Watch(out.with_suffix('.events'))
    process = os.fork()
    if process == 0:
        injection.instrument(out, watch, blow)
        write_json(out / 'a.json', {'number': 1})
        (out / 'x.log').write_text('a log is no event')
        with atomic_write(out / 'b.txt') as partial:
            partial.write_bytes(bytes(range(100)))
        (out / 'last').write_text('written in place')
        os._exit(0)
    _, status = os.waitpid(process, 0)
    phase = injection.PHASES[watch.phase]
    events = [(kind, path.split('.')[0], size) for kind, path, size, _ in watch.close()]
    return status, phase, events


def test_events_of_an_undisturbed_process(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    out.mkdir()
    assert run(out) == (
        0,
        'elsewhere',
        [
            ('write', 'a', 16),
            ('rename', 'a', 0),
            ('write', 'b', 100),
            ('rename', 'b', 0),
            ('write', 'last', 16),
        ],
    )
    assert sorted(path.name for path in out.iterdir()) == ['a.json', 'b.txt', 'last', 'x.log']


@pytest.mark.parametrize(
    ('phase', 'number', 'size', 'files'),
    [
        ('before first write', 0, 0, {'.tmp': 0}),
        ('inside a write', 2, 37, {'.json': 16, '.log': 17, '.tmp': 37}),
        ('inside a write', 4, 7, {'.json': 16, '.log': 17, '.txt': 100, '': 7}),
        ('between write and rename', 3, 0, {'.json': 16, '.log': 17, '.tmp': 100}),
        ('after rename', 3, 0, {'.json': 16, '.log': 17, '.txt': 100}),
    ],
)
def test_killed_at_a_byte_or_a_rename(
    tmp_path: Path, phase: str, number: int, size: int, files: dict[str, int]
) -> None:
    out = tmp_path / 'out'
    out.mkdir()
    blow = injection.Blow(injection.PHASES.index(phase), number, size)
    status, last, _ = run(out, blow)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert last == phase
    assert {path.suffix: path.stat().st_size for path in out.iterdir()} == files


@pytest.mark.slow
def test_every_entry_point_goes_on(tmp_path: Path) -> None:
    out = tmp_path / 'table.md'
    command = [sys.executable, str(DEV / 'kill_test.py'), '--kills', '42', '--seed', '7']
    path = os.pathsep.join([str(toys.ROOT), os.environ.get('PYTHONPATH', '')])
    ended = subprocess.run(
        [*command, '--out', str(out)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1'),
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    rows = [line.strip('| ').split(' | ') for line in out.read_text().splitlines() if '|' in line]
    assert len(rows) == 2 + 21 + 1
    killed, equal, failed = map(int, rows[-1][-3:])
    assert (killed, equal, failed) == (42, 42, 0)
    assert int(rows[-1][2]) >= 21  # inside a write
