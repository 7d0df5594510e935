from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from mmseg_uda.utils.progress import Progress, end_line, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which tests move."""
    now = [0.0]
    monkeypatch.setattr('mmseg_uda.utils.progress.time.monotonic', lambda: now[0])
    return now


def work(progress: Progress, clock: list[float], count: int, seconds: float) -> None:
    for _ in range(count):
        clock[0] += seconds
        progress.update()


@pytest.mark.parametrize('total', [1, 7, 400, 5000])
@pytest.mark.parametrize('seconds', [0.01, 0.3, 5.0])
def test_a_pipe_gets_a_line_per_tenth(clock: list[float], total: int, seconds: float) -> None:
    file = io.StringIO()
    with Progress(total, 'images', file) as progress:
        work(progress, clock, total, seconds)
    lines = file.getvalue().splitlines()
    assert (seconds * total >= 1) <= len(lines) <= 12  # quick jobs are silent
    assert '\r' not in file.getvalue()
    for line in lines[-1:]:
        assert re.fullmatch(rf'images: {total} of {total}, [\d.]+/s, took \d+:\d\d:\d\d', line)
    if total == 400 and seconds == 5.0:
        assert len(lines) == 10
        # 40 items in 200 s: the other 360 take 1800 s.
        assert lines[0] == 'images: 40 of 400, 0.2/s, eta 0:30:00'


def test_a_terminal_is_redrawn_once_a_second(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('COLUMNS', '80')
    file = Terminal()
    with Progress(100, 'images', file) as progress:
        work(progress, clock, 100, 0.25)
    frames = file.getvalue().split('\r')[1:]
    assert len(frames) == 25
    assert all(len(frame.rstrip('\n')) == 79 for frame in frames)
    assert file.getvalue().count('\n') == 1
    bars = [frame[frame.index('[') + 1 : frame.index(']')] for frame in frames]
    assert bars[12] == '=' * 12 + ' ' * 12  # 52 of 100
    assert bars[-1] == '=' * 24
    assert '52 of 100, 4.0/s, eta 0:00:12' in frames[12]


def test_quick_jobs_and_no_items_are_silent(clock: list[float]) -> None:
    quick, none = Terminal(), io.StringIO()
    with Progress(3, 'images', quick) as progress:
        work(progress, clock, 3, 0.1)
    with Progress(0, 'images', none):
        pass
    assert quick.getvalue() == none.getvalue() == ''


def test_finished_items_take_no_time(clock: list[float]) -> None:
    file = io.StringIO()
    progress = Progress(10, 'images', file)
    progress.skip(8)
    work(progress, clock, 1, 2.0)
    assert file.getvalue() == 'images: 9 of 10, 0.5/s, eta 0:00:02\n'


def test_an_error_ends_the_line(clock: list[float]) -> None:
    file = Terminal()

    def fail() -> None:
        with Progress(10, 'images', file) as progress:
            work(progress, clock, 1, 2.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert file.getvalue().endswith('\n')
    end_line()  # there is none any more
    assert file.getvalue().count('\n') == 1


def test_track(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    letters = []
    for letter in track(iter('abc'), 3, 'letters'):
        clock[0] += 2
        letters.append(letter)
    assert letters == ['a', 'b', 'c']
    assert capsys.readouterr().err.splitlines()[-1] == 'letters: 3 of 3, 0.5/s, took 0:00:06'


def test_nothing_else_draws_bars() -> None:
    """mmengine's bars are redrawn for each item, in a pipe too."""
    root = Path(__file__).resolve().parents[2]
    files = [path for name in ('mmseg_uda', 'tools') for path in (root / name).rglob('*.py')]
    others = re.compile(r'\b(ProgressBar|track_(iter_|parallel_)?progress|tqdm)\b')
    assert len(files) > 100
    assert [path.name for path in files if others.search(path.read_text('utf-8'))] == []
