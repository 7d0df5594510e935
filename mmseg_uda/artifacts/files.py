"""Files: written whole or not at all, and read with errors that say what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union

import numpy as np

__all__ = [
    'MANIFEST_NAME',
    'atomic_write',
    'explain_read_errors',
    'list_files',
    'write_json',
    'write_npz',
]

PathLike = Union[str, 'os.PathLike[str]']
MANIFEST_NAME = 'manifest.json'


@contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Write a file atomically: rename it into place on success.

    After an error no partial file stays behind, and an older file is unchanged. ::

        with atomic_write('metrics.json') as partial:
            partial.write_text('{}')

    Args:
        path: The file; its directory is created if it is missing.

    Yields:
        The temporary path, in the same directory. It ends in ``.tmp``, so that no search for images
        finds what a killed process leaves.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two processes that write one file apart.
    partial = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: PathLike, content: Any) -> None:
    """Write JSON atomically."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding='utf-8')


def write_npz(path: PathLike, **arrays: Any) -> None:
    """Write a compressed ``.npz`` file atomically."""
    # A file object: numpy would add .npz to the temporary name.
    with atomic_write(path) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, **arrays)


@contextmanager
def explain_read_errors(owner: str, path: PathLike, remedy: str) -> Iterator[None]:
    """Name the file and the remedy when a block cannot read it.

    Args:
        owner: Name of the class or function that reads, for errors.
        path: The file.
        remedy: How to get a file that can be read, e.g. ``'run tools/spatial_prior.py'``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the block raises any error.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{owner}: no file {path}; {remedy}')
    try:
        yield
    except Exception as error:  # zip, numpy and JSON raise many types on damaged files
        raise ValueError(
            f'{owner}: cannot read {path} ({type(error).__name__}: {error}); {remedy}'
        ) from error


def list_files(directory: PathLike) -> Iterator[str]:
    """List all files below a directory, except temporary ones of :func:`atomic_write`.

    Yields:
        Paths relative to the directory, with ``/``: the files of each directory in order, then
        those of its sub-directories.
    """
    for root, directories, names in os.walk(directory, followlinks=True):
        directories.sort()
        for name in sorted(names):
            if not name.endswith('.tmp'):
                yield Path(root, name).relative_to(directory).as_posix()
