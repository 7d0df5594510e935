"""Outputs: kept apart from what is read; nothing is deleted that another than us wrote."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmengine.logging import print_log

from mmseg_uda.artifacts.digest import digest_path
from mmseg_uda.artifacts.files import PathLike, free_path, move_aside

__all__ = [
    'check_directory',
    'check_distinct',
    'check_new_file',
    'check_output',
    'clear_outputs',
    'keep_other_file',
]


def check_output(owner: str, out: PathLike, reads: Iterable[tuple[str, PathLike]]) -> None:
    """Check that nothing is written where something is read.

    Args:
        owner: Name of the class, tool or argument that writes, for errors.
        out: The file or directory to write; links in it are followed.
        reads: Place in the config or on the command line, and path, of everything that is read.

    Raises:
        ValueError: The output is one of these paths, or lies inside or above one.
    """
    place = Path(osp.realpath(out))
    for key, path in reads:
        read = Path(osp.realpath(path))
        if read == place:
            relation = 'the same'
        elif place.is_relative_to(read):
            relation = 'inside of it'
        elif read.is_relative_to(place):
            relation = 'above it'
        else:
            continue
        raise ValueError(
            f'{owner}: expected a place apart from {key}={str(path)!r}, which is read, but got '
            f'{str(out)!r}, which is {relation}; write another path'
        )


def check_distinct(outputs: Mapping[str, PathLike]) -> None:
    """Check that no output would replace another one.

    Args:
        outputs: Name of each output in the call or on the command line, for errors, and its path.

    Raises:
        ValueError: Two are the same file.
    """
    names: dict[str, str] = {}
    for name, path in outputs.items():
        other = names.setdefault(osp.realpath(path), name)
        if other != name:
            raise ValueError(
                f'{name}: expected another file than that of {other}, but got {str(path)!r} for '
                'both; write another path'
            )


def check_directory(owner: str, out: PathLike) -> None:
    """Check that a directory to write can be made, or is there.

    Raises:
        ValueError: A file is there, or where one of the directories above it must be.
    """
    place = Path(osp.abspath(out))
    found = next(each for each in (place, *place.parents) if osp.lexists(each))
    if not found.is_dir():
        raise ValueError(
            f'{owner}: expected a directory, but got the file {str(found)!r}; write another path'
        )


def keep_other_file(path: PathLike) -> None:
    """Move aside a file that we did not write, and say so."""
    print_log(f'{path}, which we did not write, is {move_aside(path)} now', 'current')


def check_new_file(owner: str, out: PathLike, suffix: str, overwrite: bool) -> None:
    """Check the name of a file to write, and that there is none unless it may be moved aside.

    Raises:
        ValueError: The name ends otherwise, or the file exists.
    """
    if Path(out).suffix != suffix:
        raise ValueError(f'{owner}: expected a name that ends in {suffix}, but got {out!r}')
    if Path(out).exists() and not overwrite:
        raise ValueError(f'{owner}: expected a new file, but {out} exists; write another name')


def clear_outputs(
    directory: PathLike, names: Iterable[str], digests: Mapping[str, str] | None = None
) -> None:
    """Make room for new outputs without losing what the user may have put or changed there.

    Args:
        directory: The directory.
        names: Files below it, of which those that exist go; all others stay.
        digests: Names of files that we wrote, and their digests. Files with these digests are
            deleted, others are moved to a directory beside this one.
    """
    aside = None
    for name in names:
        path = Path(directory, name)
        if not osp.lexists(path):
            continue
        if path.is_file() and digest_path(path) == (digests or {}).get(name):
            path.unlink()
            continue
        aside = aside or free_path(directory)
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside / name)
    if aside is not None:
        print_log(f'{directory}: files that we did not write are in {aside} now', 'current')
