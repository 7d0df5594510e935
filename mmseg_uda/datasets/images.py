"""Images that a dataset leaves out, and images that two datasets share."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from functools import lru_cache
from typing import Any

from mmseg.datasets import BaseSegDataset

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.datasets.checks import unwrap

__all__ = ['IMAGES', 'describe_left_out', 'left_out_images', 'shared_images']

_LOWER = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
# Sets of Windows and of cameras have .PNG and .Png, too.
IMAGES = tuple(form(suffix) for form in (str, str.upper, str.title) for suffix in _LOWER)


def left_out_images(dataset: Any, key: str) -> list[str]:
    """Describe the images that ``img_suffix`` leaves out.

    A dataset with a list (``ann_file``) leaves images out on purpose, and so do files that end in
    ``seg_map_suffix`` if labels lie among the images.

    Args:
        dataset: A built dataset, wrapped or not.
        key: Its place in the config, for messages.

    Returns:
        One warning per dataset inside that leaves images out.
    """
    warnings = []
    for inner in unwrap(dataset):
        prefix = getattr(inner, 'data_prefix', None) or {}
        directory = prefix.get('img_path') or ''
        if not isinstance(inner, BaseSegDataset) or inner.ann_file or not osp.isdir(directory):
            continue
        labels = prefix.get('seg_map_path') == directory
        label_suffix = inner.seg_map_suffix if labels else None
        if text := describe_left_out(directory, inner.img_suffix, label_suffix):
            warnings.append(f'{key}: img_suffix={inner.img_suffix!r} {text}')
    return warnings


def describe_left_out(
    directory: str, suffix: str | tuple[str, ...], label_suffix: str | tuple[str, ...] | None = None
) -> str:
    """Describe the images of a directory that do not end in a suffix; empty if there are none.

    Args:
        directory: The directory; those below it count, too.
        suffix: The suffix, or several.
        label_suffix: Suffix of labels among the images, which are none.

    Returns:
        Text that follows the suffix, such as ``'takes 4 of 5 images in a; 1 end in .jpg'``.
    """
    images = [
        name
        for name in list_files(directory)
        if name.lower().endswith(_LOWER) and not (label_suffix and name.endswith(label_suffix))
    ]
    others = [name for name in images if not name.endswith(suffix)]
    endings = Counter(osp.splitext(name)[1] for name in others).most_common()
    rest = ', '.join(f'{count} end in {ending}' for ending, count in endings)
    taken = len(images) - len(others)
    return f'takes {taken} of {len(images)} images in {directory}; {rest}' if others else ''


def shared_images(dataset: Any, key: str, other: Any, other_key: str) -> str:
    """Describe how many images are in two datasets; empty if there are none."""
    paths, others = _paths(dataset), _paths(other)
    shared = len(paths & others)
    if not shared:
        return ''
    return (
        f'{key} and {other_key} share {shared} of {len(paths)} and {len(others)} images; correct '
        '`data_prefix` or `ann_file` unless you mean it'
    )


def _paths(dataset: Any) -> set[str]:
    real = lru_cache(maxsize=None)(osp.realpath)  # of few directories
    paths = set()
    for inner in unwrap(dataset):
        for index in range(len(inner) if hasattr(inner, 'get_data_info') else 0):
            path = inner.get_data_info(index).get('img_path')
            if path:
                paths.add(osp.join(real(osp.dirname(path)), osp.basename(path)))
    return paths
