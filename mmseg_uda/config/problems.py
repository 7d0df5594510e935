"""A mistake in a config, and the error that lists them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ['ConfigError', 'Problem']


class Problem(NamedTuple):
    """One mistake in a config.

    Args:
        path: Dotted key path, as ``--cfg-options`` takes it.
        message: What is wrong there, and what to write.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f'{self.path}: {self.message}'


class ConfigError(ValueError):
    """All mistakes of a config, one line each.

    Args:
        problems: At least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__('\n'.join(map(str, problems)))
        self.problems = list(problems)

    def within(self, place: str) -> ConfigError:
        """The same mistakes, with a place before the path of each."""
        return ConfigError(
            [Problem(f'{place}: {each.path}', each.message) for each in self.problems]
        )
