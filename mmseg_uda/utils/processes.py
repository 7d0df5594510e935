"""Work shared between processes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cv2
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.utils import track_parallel_progress, track_progress

__all__ = ['map_with_progress', 'on_main']

S = TypeVar('S')
T = TypeVar('T')


def on_main(function: Callable[[], T]) -> T:
    """Call a function in the first process only, and return its result in all processes.

    Args:
        function: Its result must be picklable if there are several processes.

    Raises:
        Exception: In the first process, the error of the function.
        RuntimeError: In the other processes, if the function failed; without it they would wait
            for the first process for ever.
    """
    outcome: list[Any] = [None, None]  # result; text of an error
    failure: Exception | None = None
    if get_rank() == 0:
        try:
            outcome[0] = function()
        except Exception as error:
            failure = error
            outcome[1] = f'{type(error).__name__}: {error}'
    broadcast_object_list(outcome)
    if failure is not None:
        raise failure
    if outcome[1] is not None:
        raise RuntimeError(f'the first process failed with {outcome[1]}')
    return outcome[0]


def map_with_progress(function: Callable[[S], T], items: Sequence[S], nproc: int = 1) -> list[T]:
    """Map a function over items, with a progress bar on the standard error.

    Args:
        function: The function; picklable if ``nproc`` is above 1.
        items: Its arguments.
        nproc: Number of processes; 1 works in this one.

    Returns:
        The results, in the order of ``items``.
    """
    if nproc == 1 or len(items) < 2:
        return track_progress(function, items, file=sys.stderr)
    return track_parallel_progress(
        function, items, nproc, initializer=_init_worker, file=sys.stderr
    )


def _init_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone ends an interrupted run
    cv2.setNumThreads(0)  # the processes already share the cores
