"""Signals end a process with one line, and its workers without any."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context

import pytest
from torch.utils.data import DataLoader

from mmseg_uda.utils.cli import run_main
from mmseg_uda.utils.signals import SignalNote, Stop, stop_on_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The handlers that a process begins with, even if this one runs in the background."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def send(signum: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), signum)


@pytest.mark.parametrize(
    ('main', 'code', 'word'),
    [
        (send(signal.SIGINT), 130, 'interrupted'),
        (send(signal.SIGTERM), 143, 'terminated'),
        (send(signal.SIGHUP), 129, 'hung up'),
    ],
)
def test_a_tool_ends_with_one_line(
    main: Callable[[], None], code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_main(main)
    assert stopped.value.code == code
    assert capsys.readouterr().err == f'\n{word}; the same command goes on where it can\n'
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for `command &`
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # and nohup
    with stop_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(Stop, match='^terminated; '):
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize('first', SIGNALS)
@pytest.mark.parametrize('second', SIGNALS)
def test_a_note_holds_the_first_signal_only(first: int, second: int) -> None:
    note = SignalNote()
    with stop_on_signals():
        note.open()
        assert note.signum == 0
        os.kill(os.getpid(), first)
        assert note.signum == first
        with pytest.raises(Stop) as stopped:
            os.kill(os.getpid(), second)
        assert stopped.value.exit_code == 128 + second


def test_a_closed_note_changes_nothing() -> None:
    note = SignalNote()
    with stop_on_signals():
        note.open()
        note.close()
        with pytest.raises(Stop):
            os.kill(os.getpid(), signal.SIGTERM)
    assert note.signum == 0


class _Slow:
    """Samples that take a while; the first one tells that the worker is there."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        time.sleep(0.05 * index)
        return os.getpid() if index == 0 else index


def test_workers_end_with_their_parent_alone(capfd: pytest.CaptureFixture[str]) -> None:
    loader = DataLoader(_Slow(), batch_size=None, num_workers=1, multiprocessing_context='fork')
    with stop_on_signals():
        batches = iter(loader)
        worker = next(batches)
        for signum in SIGNALS:  # as a terminal, or a cluster, sends them to all processes
            sender = get_context('fork').Process(target=os.kill, args=(worker, signum))
            sender.start()
            sender.join()
        assert list(batches) == [1, 2]
        process = get_context('fork').Process(target=time.sleep, args=(60,))
        process.start()
        os.kill(process.pid, signal.SIGINT)
        process.terminate()
        process.join(10)
        assert process.exitcode == 0
    assert capfd.readouterr().err == ''
