"""Names of an artifact's images: their paths below the image directory, found by a path's end."""

from __future__ import annotations

import os.path as osp
from collections.abc import Container, Sequence
from pathlib import PurePath

__all__ = ['find_name', 'relative_names']


def find_name(names: Container[str], path: str, suffix: str | None = None) -> str | None:
    """Find the longest name that ends a path, so that the image directory may have moved.

    Args:
        names: Relative paths with ``/``.
        path: An image file.
        suffix: Suffix of the names; None if they keep that of the image.

    Returns:
        The name; None if no name ends the path.
    """
    parts = PurePath(_replace_suffix(path, suffix)).parts
    ends = ('/'.join(parts[start:]) for start in range(len(parts)))  # the longest one first
    return next((end for end in ends if end in names), None)


def relative_names(
    paths: Sequence[str], root: str | None = None, suffix: str | None = None
) -> list[str]:
    """Name each image by its path below the image directory.

    Args:
        paths: Image files.
        root: The image directory; None takes the images' common directory.
        suffix: Suffix of the names; None keeps that of the image.

    Returns:
        Relative paths with ``/``, in the order of ``paths``; :func:`find_name` finds each of them.

    Raises:
        ValueError: If there is no image, one lies outside ``root``, or a name is not unique.
    """
    if not paths:
        raise ValueError('relative_names: expected images, but got none; correct data_prefix')
    paths = [osp.abspath(path) for path in paths]
    base = osp.abspath(root) if root else osp.commonpath([osp.dirname(path) for path in paths])
    owners: dict[str, str] = {}
    for path in paths:
        name = PurePath(_replace_suffix(osp.relpath(path, base), suffix)).as_posix()
        if name.startswith('../'):
            raise ValueError(
                f'relative_names: expected images below {base!r}, but got {path!r}; write the '
                "dataset's data_prefix.img_path"
            )
        if name in owners:
            raise ValueError(
                f'relative_names: expected one image per name, but {owners[name]!r} and {path!r} '
                f'are both {name!r}; list each image once, with one suffix for all'
            )
        owners[name] = path
    # A short name may be the end of another image's path: x.png of a/x.png.
    for name, path in owners.items():
        found = find_name(owners, path, suffix)
        if found != name:
            raise ValueError(
                f'relative_names: expected one name per image, but {path!r} is {name!r} or '
                f'{found!r}; rename the image directory'
            )
    return list(owners)


def _replace_suffix(path: str, suffix: str | None) -> str:
    return path if suffix is None else osp.splitext(path)[0] + suffix
