"""Images in directories: sizes, channels and suffixes."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from mmseg_uda.datasets.label_files import NUM_THREADS, image_header
from mmseg_uda.utils.progress import track

__all__ = ['ImageSet', 'look_at_images']


class ImageSet(NamedTuple):
    """Images of a directory.

    Args:
        directory: The directory.
        paths: All of them, sorted.
        sizes: Number of images by (width, height).
        modes: The same by Pillow's mode, such as ``'RGB'``.
        unreadable: Files whose header Pillow cannot read.
    """

    directory: str
    paths: list[str]
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    unreadable: list[str]

    @property
    def suffixes(self) -> Counter[str]:
        """Number of images by suffix."""
        return Counter(osp.splitext(path)[1] for path in self.paths)

    @property
    def short_side(self) -> int:
        """The median of the images' shorter sides in pixels."""
        sides = sorted(min(size) for size in self.sizes.elements())
        return sides[len(sides) // 2]


def look_at_images(directory: str, paths: Iterable[str]) -> ImageSet:
    """Read the headers of images."""
    paths = sorted(paths)
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        headers = list(track(threads.map(image_header, paths), len(paths), 'image headers'))
    known = [header for header in headers if header is not None]
    if not known:
        raise ValueError(f'expected images that can be read in {directory!r}, but got none')
    return ImageSet(
        directory,
        paths,
        Counter((width, height) for width, height, _ in known),
        Counter(mode for *_, mode in known),
        [path for path, header in zip(paths, headers) if header is None],
    )
