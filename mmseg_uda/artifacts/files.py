"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ['atomic_write']


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name that it sheds when the block has ended well.

    After an error nothing half-written stays behind, and an older file is as it was. ::

        with atomic_write('metrics.json') as partial:
            partial.write_text('{}')

    Args:
        path: The file; its folder is made if it is missing.

    Yields:
        The temporary path, in the same folder. It ends in ``.tmp``, so that no search for images
        finds what a killed process leaves.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
