"""The known name that somebody meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ['nearest']


def nearest(
    word: str, known: Iterable[str], cutoff: float = 0.6, any_case: bool = False
) -> str | None:
    """Find the known name that is most like a word.

    Args:
        word: What was written.
        known: Names.
        cutoff: Least similarity, in (0, 1]; 1 is equal.
        any_case: Ignore the case of letters. Not where a word may be a name of its own: ``SEED`` is
            a constant of a config, and no slip of ``seed``.

    Returns:
        The name; None if none is similar enough.

    Examples:
        >>> nearest('sead', ['seed', 'stages'])
        'seed'
        >>> nearest('crossentropyloss', ['CrossEntropyLoss', 'DiceLoss'], any_case=True)
        'CrossEntropyLoss'
        >>> nearest('x', ['CrossEntropyLoss', 'DiceLoss'])
    """
    names = {name.lower() if any_case else name: name for name in known}
    word = word.lower() if any_case else word
    similar = difflib.get_close_matches(word, names, n=1, cutoff=cutoff)
    return names[similar[0]] if similar else None
