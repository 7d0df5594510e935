"""Decisions that one process takes for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, get_rank

__all__ = ['on_main']

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
