"""Errors that name the config key that caused them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ['error_context']


@contextmanager
def error_context(key: str) -> Iterator[None]:
    """Put a config key before the message of an error that the block raises.

    Args:
        key: The key, e.g. ``'LoadPseudoLabels.pseudo_dir'``.

    Raises:
        FileNotFoundError: The block raised one.
        ValueError: The same.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{key}: {error}') from error
    except ValueError as error:
        raise ValueError(f'{key}: {error}') from error
