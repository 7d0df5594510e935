"""What one process decides and all must know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, get_rank

__all__ = ['on_main']

T = TypeVar('T')


def on_main(function: Callable[[], T]) -> T:
    """Call a function in the first process only, and give its result to all.

    Args:
        function: What it returns must be picklable if there are several processes.

    Raises:
        Exception: In the first process, what the function raised.
        RuntimeError: In the others then, so that nobody waits for ever.
    """
    outcome: list[Any] = [None, None]
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
        raise RuntimeError(f'the first process stopped with {outcome[1]}')
    return outcome[0]
