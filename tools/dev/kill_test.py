"""Kill every entry point at seeded moments, start it again, and compare with an undisturbed run.

    nice python tools/dev/kill_test.py --kills 120 --seed 0

At least half of the kills lie inside a write: SIGKILL comes after some of a file's bytes. The next
start must end with the same weights, and other files, bit by bit, and after the kill no file that
is named as if it were whole may be half a file. The table goes to docs/kill_test.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import textwrap
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import mmengine.runner.runner
import torch
from kill_entries import ROOT, Entry, make_entries, prepare
from kill_injection import (
    AFTER,
    BEFORE,
    BETWEEN,
    ELSEWHERE,
    INSIDE,
    PHASES,
    Blow,
    Event,
    Watch,
    instrument,
)
from kill_outcome import outcome

# A pattern of ten kills.
PATTERN = (INSIDE, BETWEEN, INSIDE, AFTER, INSIDE, ELSEWHERE, INSIDE, BEFORE, INSIDE, INSIDE)

INTRODUCTION = (
    'Every entry point is killed (SIGKILL) at seeded moments and started again. It must then end '
    'with the weights and the files of a run that nothing disturbed, bit by bit; and after the '
    'kill no file with its final name may be half a file. The data are toys.'
)
NOTE = (
    'Inside a write: after some of the bytes of a file. Before first write: before the first byte. '
    'Elsewhere: at a time that is drawn evenly. Then all processes of the run are killed, and the '
    'column is that of what the first one was doing. The rows of a pipeline are kills in one of '
    'its stages.'
)


def fork(task: Callable[[], Any], errors: Path) -> int:
    """Run a task in a process of its own, the leader of a group; its output goes to a file."""
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    output = os.open(errors, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        task()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)


def run(task: Callable[[Path], Any], out: Path, blow: Blow | None) -> tuple[int, int, list[Event]]:
    """Run a task below a directory and kill it at a moment.

    Returns:
        Its status as of ``os.waitpid``, the phase in which it ended, and the events until then.
    """
    watch = Watch(out.with_suffix('.events'))

    def watched() -> None:
        instrument(out, watch, blow)
        task(out)

    process = fork(watched, out.with_suffix('.errors'))
    if blow is not None and blow.phase == ELSEWHERE:
        time.sleep(blow.time)
        os.killpg(process, signal.SIGKILL)  # a process that has ended is still there
    _, status = os.waitpid(process, 0)
    phase = watch.phase
    return status, phase, watch.close()


def draw(rng: random.Random, wanted: int, events: list[Event], stage: str) -> Blow:
    """Draw a moment of a phase among the events of a run, or of one stage of it."""
    numbers = range(len(events))
    if stage:  # until the next stage begins; what records its end is part of it
        mine = [number for number in numbers if events[number].path.startswith(f'run/{stage}/')]
        others = [
            number
            for number in numbers
            if number > mine[-1] and re.match(r'run/\w+/', events[number].path)
        ]
        numbers = range(mine[0], min(others, default=len(events)))
    if wanted == ELSEWHERE:
        first = events[numbers[0] - 1].time if numbers[0] else 0.0
        return Blow(wanted, time=rng.uniform(first, events[numbers[-1]].time))
    if wanted == BEFORE:
        return Blow(wanted, numbers[0])
    kind = 'write' if wanted == INSIDE else 'rename'
    number = rng.choice([number for number in numbers if events[number].kind == kind])
    return Blow(wanted, number, rng.randrange(max(1, events[number].size - 8)))


def kill_once(
    entry: Entry, blow: Blow, out: Path, expected: dict[str, str]
) -> tuple[int, str] | None:
    """Kill an entry point and start it again.

    Returns:
        The phase of the kill, and what went wrong; None if it ended before the kill.
    """
    fresh(out)
    status, phase, _ = run(entry.run, out, blow)
    if status == 0:
        return None
    if blow.phase != ELSEWHERE:
        phase = blow.phase
    try:
        outcome(out, whole=False)
        status, _, _ = run(entry.resume or entry.run, out, None)
        if status:
            return phase, out.with_suffix('.errors').read_text().strip()[-600:]
        found = outcome(out)
    except ValueError as error:
        return phase, str(error)
    wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return phase, f'differs in {", ".join(wrong)}' if wrong else ''


def fresh(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()


def measure(
    kills: int, seed: int, only: str | None, say: Callable[[str], Any] = print
) -> list[tuple[str, int, str]]:
    """Kill entry points in turn.

    Args:
        kills: Number of kills over all entry points.
        seed: Seed of the moments.
        only: Part of the names of the entry points to kill; None for all.
        say: Gets a line for each kill.

    Returns:
        Entry point, phase and what went wrong (empty: nothing) of each kill.
    """
    shared = Path(tempfile.mkdtemp(prefix='kill_test_')).resolve()
    out, here = shared / 'out', Path.cwd()
    entries = [each for each in make_entries() if not only or only in each.name]
    if not entries:
        sys.exit(f'--only: expected a part of a name, but got {only}')
    results: list[tuple[str, int, str]] = []
    os.chdir(shared)
    try:
        _, status = os.waitpid(fork(lambda: prepare(shared), shared / 'errors'), 0)
        if status:
            raise RuntimeError((shared / 'errors').read_text())
        undisturbed: dict[Any, tuple[list[Event], dict[str, str]]] = {}
        for number in range(kills):
            entry = entries[number % len(entries)]
            turn = number // len(entries)
            if entry.run not in undisturbed:
                fresh(out)
                status, _, events = run(entry.run, out, None)
                if status:
                    raise RuntimeError(out.with_suffix('.errors').read_text())
                undisturbed[entry.run] = events, outcome(out)
            events, expected = undisturbed[entry.run]
            rng = random.Random(f'{seed} {number}')
            phase = PATTERN[(turn + 3 * (number % len(entries))) % len(PATTERN)]
            result, begin = None, time.monotonic()
            while result is None:  # until the process has not ended before its kill
                blow = draw(rng, phase, events, entry.stage)
                result = kill_once(entry, blow, out, expected)
            results.append((entry.name, *result))
            place = events[blow.number].path if blow.phase != ELSEWHERE else f'{blow.time:.2f} s'
            say(
                f'{number + 1}/{kills} {entry.name}: {PHASES[result[0]]} ({place}), '
                f'{result[1] or "equal"}, {time.monotonic() - begin:.0f} s'
            )
    finally:
        os.chdir(here)
        if not any(wrong for *_, wrong in results):
            shutil.rmtree(shared)
    return results


def table(results: list[tuple[str, int, str]], command: str) -> str:
    """Format the results as Markdown."""
    names = list(dict.fromkeys(name for name, *_ in results))
    counts = Counter((name, phase) for name, phase, _ in results)
    failed = Counter(name for name, _, wrong in results if wrong)
    lines = [
        '# Kill test',
        '',
        textwrap.fill(INTRODUCTION, 100),
        '',
        f'```bash\n{command}\n```',
        '',
        f'{datetime.date.today()}, CPU, {os.cpu_count()} cores, Python '
        f'{sys.version.split()[0]}, torch {torch.__version__.split("+")[0]}.',
        '',
        f'| entry point | {" | ".join(PHASES)} | killed | resumed equal | failed |',
        f'|---|{"---|" * (len(PHASES) + 3)}',
    ]
    for name in [*names, 'all']:
        mine = [name] if name != 'all' else names
        cells = [sum(counts[each, phase] for each in mine) for phase in range(len(PHASES))]
        wrong = sum(failed[each] for each in mine)
        cells += [sum(cells), sum(cells) - wrong, wrong]
        lines.append(f'| {name} | {" | ".join(map(str, cells))} |')
    lines += [
        '',
        textwrap.fill(NOTE, 100),
    ]
    lines += [f'* {name}, {PHASES[phase]}: {wrong}' for name, phase, wrong in results if wrong]
    return '\n'.join([*lines, ''])


def warm() -> None:
    """Load what every run would load, and leave out what takes long and changes nothing."""
    torch.set_num_threads(1)
    for place in ('yapf.yapflib.yapf_api.FormatCode', 'mmengine.config.config.FormatCode'):
        mock.patch(place, lambda text, **_: (text, True), create=True).start()
    environment = mmengine.runner.runner.collect_env()
    mock.patch.object(mmengine.runner.runner, 'collect_env', return_value=environment).start()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=120, help='number of kills')
    parser.add_argument('--seed', type=int, default=0, help='seed of their moments')
    parser.add_argument('--only', help='kill entry points whose names have this part only')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/kill_test.md', help='the table')
    args = parser.parse_args(argv)
    warm()
    results = measure(args.kills, args.seed, args.only)
    only = f" --only '{args.only}'" if args.only else ''
    command = f'python tools/dev/kill_test.py --kills {args.kills} --seed {args.seed}{only}'
    args.out.write_text(table(results, command), encoding='utf-8')
    return int(any(wrong for *_, wrong in results))


if __name__ == '__main__':
    sys.exit(main())
