"""One result of the doctor."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ['VERDICTS', 'Finding', 'look', 'ok', 'worst', 'wrong']

VERDICTS = ('ok', 'look', 'wrong')


class Finding(NamedTuple):
    """The result of one check.

    Args:
        check: Name of the check, such as ``'weights'``.
        verdict: ``'ok'``; ``'look'`` for what is unusual and may be meant; or ``'wrong'`` for what
            will spoil the numbers of a training.
        message: What was found, with its numbers.
        remedy: What to do; empty for ``'ok'``.
    """

    check: str
    verdict: str
    message: str
    remedy: str = ''

    def __str__(self) -> str:
        remedy = f'; {self.remedy}' if self.remedy else ''
        return f'{self.verdict:5}  {self.check}: {self.message}{remedy}'


def ok(check: str, message: str) -> Finding:
    return Finding(check, 'ok', message)


def look(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, 'look', message, remedy)


def wrong(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, 'wrong', message, remedy)


def worst(findings: list[Finding]) -> str:
    """Give the worst verdict of a list."""
    return max((each.verdict for each in findings), key=VERDICTS.index, default='ok')
