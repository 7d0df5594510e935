"""Files: written whole or not at all, and read with errors that say what to do."""

from __future__ import annotations

import errno
import filecmp
import io
import json
import os
import os.path as osp
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, Union

import numpy as np
import torch
from mmengine.logging import print_log

if sys.platform != 'win32':
    import fcntl

__all__ = [
    'MANIFEST_NAME',
    'atomic_write',
    'check_name',
    'explain_full_disk',
    'explain_read_errors',
    'free_path',
    'is_disk_full',
    'list_files',
    'move_aside',
    'safe_join',
    'write_json',
    'write_npz',
    'write_torch',
]

PathLike = Union[str, 'os.PathLike[str]']
MANIFEST_NAME = 'manifest.json'
# Way out for a file with names that lead elsewhere.
REMEDY = 'make the file again, or take one from somebody you trust'
# No space, no quota (which Windows has not), a limit of the size of files.
DISK_FULL = (errno.ENOSPC, getattr(errno, 'EDQUOT', errno.ENOSPC), errno.EFBIG)
TEMPORARY = re.compile(r'.+\.[0-9a-f]{16}\.tmp')
ASIDE = re.compile(r'\.old-\d+$')
_swept: set[Path] = set()  # directories in which this process has removed leftovers


@contextmanager
def atomic_write(path: PathLike, keep: bool = False) -> Iterator[Path]:
    """Write a file atomically: rename it into place on success.

    After an error no partial file stays behind, and an older file is unchanged. Temporary files
    that killed processes left in the directory are removed. ::

        with atomic_write('metrics.json') as partial:
            partial.write_text('{}')

    Args:
        path: The file; its directory is created if it is missing.
        keep: Move an older file of other content aside, see :func:`move_aside`.

    Yields:
        The temporary path, in the same directory. Nobody can foresee its name. It ends in ``.tmp``,
        so that no search for images finds what a killed process leaves.

    Raises:
        OSError: There is no space for the file, which the error names.
    """
    if Path(path).is_dir():
        raise ValueError(f'expected a file to write, but got the directory {path}; write another')
    with explain_full_disk(path), _partial_file(Path(path), keep) as partial:
        yield partial


@contextmanager
def _partial_file(path: Path, keep: bool) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    partial = path.with_name(f'{path.name}.{secrets.token_hex(8)}.tmp')
    # O_EXCL fails if anything has the name, even a link that leads elsewhere.
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        _mark_alive(descriptor)
        yield partial
        if (
            keep
            and osp.lexists(path)
            and not (path.is_file() and filecmp.cmp(partial, path, False))
        ):
            print_log(f'{path} had other content, which is in {move_aside(path)} now', 'current')
        if sys.platform != 'win32':
            os.fsync(descriptor)  # or a power failure could leave the new name without its content
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
        if sys.platform != 'win32':
            os.close(descriptor)


def _mark_alive(descriptor: int) -> None:
    """Lock a temporary file; the lock goes with its process."""
    if sys.platform == 'win32':  # where an open file can be neither renamed nor removed
        os.close(descriptor)
        return
    with suppress(OSError):  # of file systems without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_leftovers(directory: Path) -> None:
    """Remove temporary files of dead processes, once per directory and process."""
    if directory in _swept or sys.platform == 'win32':
        return
    _swept.add(directory)
    for path in directory.glob('*.tmp'):
        if TEMPORARY.fullmatch(path.name):
            with suppress(OSError), open(path, 'r+b') as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error if its process lives
                path.unlink()


def free_path(path: PathLike) -> Path:
    """Find a name beside a path that is not taken: ``NAME.old-1``, ``NAME.old-2`` and so on."""
    return _free_name(Path(osp.realpath(path)))


def _free_name(path: Path) -> Path:
    names = (path.with_name(f'{path.name}.old-{number}') for number in count(1))
    return next(name for name in names if not osp.lexists(name))


def move_aside(path: PathLike) -> Path:
    """Rename a file, directory or link to ``NAME.old-1`` or the like, and return that."""
    path = Path(path)
    # A link stays in its directory: elsewhere a relative one would lead nowhere.
    return path.rename(_free_name(path) if path.is_symlink() else free_path(path))


def write_json(path: PathLike, content: Any) -> None:
    """Write JSON atomically."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding='utf-8')


def write_npz(path: PathLike, **arrays: Any) -> None:
    """Write a compressed ``.npz`` file atomically; an older file is moved aside."""
    # A file object: numpy would add .npz to the temporary name.
    with atomic_write(path, keep=True) as partial, open(partial, 'wb') as file:
        np.savez_compressed(file, **arrays)


def write_torch(path: PathLike, content: Any) -> None:
    """Write what ``torch.save`` writes, atomically; an older file is moved aside."""
    # Through memory: torch would write the temporary name into the file.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path, keep=True) as partial:
        partial.write_bytes(buffer.getbuffer())


def is_disk_full(error: BaseException) -> bool:
    """Tell whether something could not be written because there is no space for it."""
    return isinstance(error, OSError) and error.errno in DISK_FULL


@contextmanager
def explain_full_disk(path: PathLike) -> Iterator[None]:
    """Name the file, and its directory, when a block finds no space for it.

    Raises:
        OSError: If the block raises one of this kind.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        text = f'{error.strerror}; free space in {Path(path).parent}, or write elsewhere'
        raise OSError(error.errno, text, str(path)) from error


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
        text = f'{type(error).__name__}: {error}'
        if 'pickle' in text:  # numpy advises to load what could run any code
            text = f'{type(error).__name__}: it is no archive of numbers and texts'
        raise ValueError(f'{owner}: cannot read {path} ({text}); {remedy}') from error


@contextmanager
def read_npz(owner: str, path: PathLike, remedy: str) -> Iterator[Any]:
    """Open an ``.npz`` file without pickles; errors of the block, too, name it and the remedy.

    Args:
        owner: As for :func:`explain_read_errors`.
        path: The file.
        remedy: As for :func:`explain_read_errors`.

    Yields:
        Its arrays by name.
    """
    with explain_read_errors(owner, path, remedy), np.load(path, allow_pickle=False) as arrays:
        yield arrays


def list_files(directory: PathLike) -> Iterator[str]:
    """List all files below a directory, except temporary ones and those that were moved aside.

    Links to directories are followed, unless they lead back to a directory on the way. Files and
    directories whose names start with a dot are skipped: copies of notebooks, and what macOS puts
    beside files. A directory that is not there has no files.

    Yields:
        Paths relative to the directory, with ``/``: those of each directory, then of those below.

    Raises:
        OSError: A directory cannot be read; the error names it.
    """
    ways = {os.fspath(directory): [Path(directory).resolve()]}
    for root, directories, names in os.walk(directory, onerror=_refuse, followlinks=True):
        way = ways.pop(root)  # the directories down to this one, without links
        below = {name: Path(root, name).resolve() for name in directories if name[0] != '.'}
        directories[:] = sorted(
            name
            for name, real in below.items()
            if not any(each.is_relative_to(real) for each in way)
        )
        ways.update({osp.join(root, name): [*way, below[name]] for name in directories})
        for name in sorted(names):
            skipped = name.startswith('.') or name.endswith('.tmp') or ASIDE.search(name)
            if not skipped:
                yield Path(root, name).relative_to(directory).as_posix()


def _refuse(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise OSError(error.errno, f'{error.strerror}; make the directory readable', error.filename)


def check_name(name: Any, listed_in: PathLike) -> None:
    """Check that a name that was read from a file is relative and plain.

    Args:
        name: The name; ``/`` separates its parts.
        listed_in: The file that has it, for the error.

    Raises:
        ValueError: The name is absolute, has ``..``, ``.`` or empty parts, or is no text.
    """
    path = PurePosixPath(name if isinstance(name, str) else '')
    plain = str(path) == name and path.parts and '\0' not in name
    if not plain or path.is_absolute() or '..' in path.parts:
        raise ValueError(
            f'{listed_in}: expected relative names without `..`, but got {name!r}; {REMEDY}'
        )


def safe_join(directory: PathLike, name: Any, listed_in: PathLike) -> Path:
    """Join a name that was read from a file to the directory that holds what the file lists.

    Args:
        directory: The directory.
        name: As for :func:`check_name`.
        listed_in: The same.

    Returns:
        The path, which need not exist.

    Raises:
        ValueError: As for :func:`check_name`, or symbolic links lead out of the directory.
    """
    check_name(name, listed_in)
    path = Path(directory, name)
    if not Path(osp.realpath(path)).is_relative_to(osp.realpath(directory)):
        raise ValueError(
            f'{listed_in}: expected names of files below {directory}, but a symbolic link leads '
            f'from {name!r} to {osp.realpath(path)}; {REMEDY}'
        )
    return path
