"""Checks of constructor arguments, with one wording of the error."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    'check_choice',
    'check_integer',
    'check_loss_name',
    'check_number',
    'check_sequence',
    'expect',
]


def expect(condition: bool, key: str, expected: str, got: object) -> None:
    """Raise an error that names the argument unless a condition holds.

    Args:
        condition: The condition.
        key: Class and argument, such as ``'EMATeacher.alpha'``.
        expected: Description of the values that are allowed.
        got: The value.

    Raises:
        ValueError: The condition does not hold.
    """
    if not condition:
        raise ValueError(f'{key}: expected {expected}, but got {got!r}')


def check_choice(key: str, got: object, choices: Sequence[object]) -> None:
    """Check that an argument is one of several values; see :func:`expect`."""
    expect(got in choices, key, f'one of {tuple(choices)}', got)


def check_number(key: str, got: object, interval: str = '(-inf, inf)') -> None:
    """Check that an argument is a number in an interval, and not NaN; see :func:`expect`.

    Args:
        key: As for :func:`expect`.
        got: The value.
        interval: In mathematical notation, such as ``'(0, 1]'`` or ``'[0, inf)'``.

    Example:
        >>> check_number('EMATeacher.alpha', 1.5, '[0, 1]')
        Traceback (most recent call last):
        ValueError: EMATeacher.alpha: expected a number in [0, 1], but got 1.5
    """
    low, high = map(float, interval[1:-1].split(','))
    value = float(got) if isinstance(got, numbers.Real) and not isinstance(got, bool) else math.nan
    above = low <= value if interval[0] == '[' else low < value
    below = value <= high if interval[-1] == ']' else value < high
    anywhere = math.isinf(low) and math.isinf(high)
    expected = 'a finite number' if anywhere else f'a number in {interval}'
    expect(above and below, key, expected, got)


def check_integer(key: str, got: object, least: int | None = None) -> None:
    """Check that an argument is an integer, of at least ``least``; see :func:`expect`."""
    integer = isinstance(got, numbers.Integral) and not isinstance(got, bool)
    enough = integer and (least is None or int(got) >= least)  # type: ignore[call-overload]
    expect(enough, key, 'an integer' + ('' if least is None else f' of at least {least}'), got)


def check_sequence(
    key: str, got: object, check: Callable[..., None], *limits: Any, length: int | None = None
) -> None:
    """Check that an argument is a list whose items pass a check; see :func:`expect`.

    Args:
        key: As for :func:`expect`.
        got: The value.
        check: :func:`check_number` or :func:`check_integer`.
        limits: Its third argument.
        length: Number of items; None for one or more.
    """
    items = list(got) if isinstance(got, Sequence) and not isinstance(got, str) else []
    fits = bool(items) if length is None else len(items) == length
    expect(fits, key, f'a list of {"numbers" if length is None else f"{length} numbers"}', got)
    for item in items:
        check(key, item, *limits)


def check_loss_name(owner: object, loss_name: str) -> None:
    """Check that a name in the log contains ``loss``: mmengine does not train any other."""
    key = f'{type(owner).__name__}.loss_name'
    expect('loss' in loss_name, key, 'a name that contains `loss`', loss_name)
