"""Signals that ask a process to end.

SIGINT (Ctrl-C), SIGTERM (clusters, ``kill``), and SIGHUP (a terminal that closes).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ['SignalNote', 'Stop', 'stop_on_signals']

WORDS = {signal.SIGINT: 'interrupted', signal.SIGTERM: 'terminated'}
if hasattr(signal, 'SIGHUP'):  # not on Windows
    WORDS[signal.SIGHUP] = 'hung up'
_blocks = 0  # of `stop_on_signals` that this process is in


class Stop(KeyboardInterrupt):
    """The end of a process that a signal asked for.

    Args:
        signum: The signal.
        advice: Way to go on, for the message.
    """

    def __init__(self, signum: int, advice: str = 'the same command goes on where it can') -> None:
        super().__init__(f'{WORDS[signal.Signals(signum)]}; {advice}')
        self.exit_code = 128 + signum


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Stop(signum)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise :class:`Stop` in the block when a signal comes, unless the process ignores it.

    Processes that are forked in the block ignore these signals, but for SIGTERM from their parent:
    they often go to all processes of a run, and the parent ends its workers.
    """
    global _blocks
    if threading.current_thread() is not threading.main_thread():  # which has no signals
        yield
        return
    handlers = {signum: signal.getsignal(signum) for signum in WORDS}
    ours = [signum for signum, handler in handlers.items() if handler not in (signal.SIG_IGN, None)]
    for signum in ours:
        signal.signal(signum, _stop)
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1
        for signum in ours:
            signal.signal(signum, handlers[signum])


def _before_fork() -> None:
    # Blocked rather than ignored: workers of loaders set a handler of their own.
    if _blocks:
        signal.pthread_sigmask(signal.SIG_BLOCK, WORDS)


def _after_in_parent() -> None:
    if _blocks:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WORDS)


def _after_in_child() -> None:
    global _blocks
    if _blocks:
        _blocks = 0
        threading.Thread(target=_await_parent, args=(os.getppid(),), daemon=True).start()


def _await_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


if hasattr(signal, 'sigwaitinfo'):  # on Linux, where workers are forked
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )


class SignalNote:
    """Notes the first signal instead of ending the process; a second one ends it.

    ``signum`` is the signal that came, or 0.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._handlers: dict[int, object] = {}

    def open(self) -> None:
        """Note signals from now on."""
        for signum in WORDS:
            if signal.getsignal(signum) not in (signal.SIG_IGN, None):
                self._handlers[signum] = signal.signal(signum, self._note)

    def close(self) -> None:
        """Handle signals as before."""
        while self._handlers:
            signum, handler = self._handlers.popitem()
            signal.signal(signum, handler)  # type: ignore[arg-type]

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.close()
        self.signum = signum
