"""A user's texts in the text of a config."""

from __future__ import annotations

from typing import Any

__all__ = ['check_text', 'literal']

# mmengine replaces what these begin ({{ fileDirname }}, {{$VARIABLE:default}}) in a config's text,
# by text that may end the quotes around it. No way to write them is safe: the config that a
# training leaves in its directory has them as they are.
BRACES = '{{'


def check_text(place: str, text: str) -> None:
    """Check that a text of a user's can stand in a config, in one of its comments and in a report.

    Raises:
        ValueError: It has two braces that mmengine would replace, several lines, or characters
            that UTF-8 has not, as in the name of a directory in another encoding.
    """
    expected = ''
    if BRACES in text:
        expected = f'no {BRACES!r}, which mmengine replaces in configs'
    elif len(f'{text}.'.splitlines()) > 1:
        expected = 'no line break'
    elif text != text.encode('utf-8', 'ignore').decode():
        expected = 'characters of UTF-8'
    if expected:
        raise ValueError(f'{place}: expected {expected}, but got {text!a}; rename it')


def literal(value: Any) -> str:
    """Write texts, numbers, tuples, lists and dicts as Python in a config.

    Raises:
        ValueError: One of the texts has two braces that mmengine would replace.

    Example:
        >>> print(literal(("it's", '{x}')))
        ("it's", '{x}')
    """
    text = repr(value)
    if BRACES in text:
        raise ValueError(
            f'init_pair: expected names without {BRACES!r}, which mmengine replaces in configs, '
            f'but got {text}; rename these files or classes'
        )
    return text
