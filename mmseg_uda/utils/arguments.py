"""Checks of constructor arguments, with one wording of the error."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ['check_choice', 'check_loss_name', 'expect']


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


def check_loss_name(owner: object, loss_name: str) -> None:
    """Check that a name in the log contains ``loss``: mmengine does not train any other."""
    key = f'{type(owner).__name__}.loss_name'
    expect('loss' in loss_name, key, 'a name that contains `loss`', loss_name)
