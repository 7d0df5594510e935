"""The known name that somebody meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ['nearest']


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Find the known name that is most like a word, whatever the case of letters.

    Args:
        word: What was written.
        known: Names.
        cutoff: Least similarity, in (0, 1]; 1 is equal.

    Returns:
        The name; None if none is similar enough.

    Examples:
        >>> nearest('crossentropyloss', ['CrossEntropyLoss', 'DiceLoss'])
        'CrossEntropyLoss'
        >>> nearest('x', ['CrossEntropyLoss', 'DiceLoss'])
    """
    names = {name.lower(): name for name in known}
    similar = difflib.get_close_matches(word.lower(), names, n=1, cutoff=cutoff)
    return names[similar[0]] if similar else None
