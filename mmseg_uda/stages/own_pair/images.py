"""Images and labels in directories: what is there, and which label belongs to which image."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from mmseg_uda.artifacts.files import list_files
from mmseg_uda.datasets.directory import find_stems
from mmseg_uda.datasets.images import IMAGES
from mmseg_uda.datasets.label_files import NUM_THREADS, image_header
from mmseg_uda.utils.progress import track

__all__ = ['ImageSet', 'Pairing', 'look_at_images', 'pair_labels', 'split_suffix']

SEPARATORS = '_-. '
# Words in the endings of labels, the preferred ones first; Cityscapes has several per image.
PREFERRED = ('trainid', 'label', 'mask', 'gt', 'seg', '')
AVOIDED = ('color', 'colour', 'instance', 'vis', 'polygon', 'depth')


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


class Pairing(NamedTuple):
    """The rule by which the name of a label follows from that of its image.

    Args:
        img_suffix: Ends of the images' names, as for ``DirectoryDataset``.
        seg_map_suffix: The same of the labels.
        images: Paths of the images with a label.
        labels: Their labels.
        unlabelled: Stems of images without a label.
        unused: Stems of labels without an image.
    """

    img_suffix: tuple[str, ...]
    seg_map_suffix: tuple[str, ...]
    images: list[str]
    labels: list[str]
    unlabelled: list[str]
    unused: list[str]


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


def split_suffix(name: str) -> tuple[str, str]:
    """Split the name of an image into stem and suffix.

    Example:
        >>> split_suffix('town/7_rgb.PNG')
        ('town/7_rgb', '.PNG')
    """
    return osp.splitext(name)


def pair_labels(image_dir: str, label_dir: str, prefer: str = '') -> Pairing:
    """Find out which label belongs to which image, by names relative to the two directories.

    1. Names are equal but for their suffix: ``a/7.jpg`` and ``a/7.png``.
    2. They are equal but for an ending that begins with ``_``, ``-``, ``.`` or a space, of the
       images, of the labels or of both: ``7_rgb.png`` and ``7_mask.png``. All images with a label
       have the same ending, and so have all labels. Of several endings with as many labels the one
       is taken that sounds most like train ids.

    Args:
        image_dir: Directory of the images.
        label_dir: Directory of the labels; may be the same, if rule 2 tells them apart.
        prefer: A suffix of labels that is preferred, such as that of a dataset of mmseg.

    Raises:
        ValueError: No label belongs to an image, or one directory lies inside the other.
    """
    places = [Path(osp.realpath(path)) for path in (image_dir, label_dir)]
    same = places[0] == places[1]
    if not same and (places[0] in places[1].parents or places[1] in places[0].parents):
        raise ValueError(
            f'expected two directories side by side, or one for both, but got {image_dir!r} and '
            f'{label_dir!r}, of which one lies in the other; write the inner directories'
        )
    names = [name for name in list_files(label_dir) if name.endswith(IMAGES)]
    stems = {split_suffix(name)[0] for name in list_files(image_dir) if name.endswith(IMAGES)}
    best: tuple[int, int, str, str] = (0, 0, '', '')
    for ending in {'', _common_ending(stems)}:
        bases = {stem[: len(stem) - len(ending)] for stem in stems if stem.endswith(ending)}
        counts = Counter(_ending(split_suffix(name)[0], bases, proper=same) for name in names)
        for found, count in counts.items():
            if found is not None and found != (ending if same else None):
                best = max(best, (count, _preference(found, prefer), ending, found))
    count, _, ending, found = best
    if not count:
        examples = ' and '.join(
            repr(next(iter(sorted(each)), 'nothing')) for each in (stems, names)
        )
        raise ValueError(
            f'expected labels in {label_dir!r} with the names of images in {image_dir!r}, but got '
            f'none that fit, such as {examples}; rename them alike, but for an ending such as _mask'
        )
    image_suffixes = IMAGES if not ending else _suffixes(ending, image_dir)
    label_suffixes = IMAGES if not found else _suffixes(found, label_dir)
    images = find_stems(image_dir, image_suffixes, label_suffixes if same else ())
    labels = find_stems(label_dir, label_suffixes)
    both = [stem for stem in images if stem in labels]
    return Pairing(
        image_suffixes,
        label_suffixes,
        [osp.join(image_dir, images[stem]) for stem in both],
        [osp.join(label_dir, labels[stem]) for stem in both],
        [stem for stem in images if stem not in labels],
        [stem for stem in labels if stem not in images],
    )


def _common_ending(stems: Iterable[str]) -> str:
    """The longest ending of all stems that begins with a separator; empty if there is none."""
    backwards = sorted(stem[::-1] for stem in stems)
    pairs = zip(backwards[0], backwards[-1]) if backwards else ()
    shared = ''.join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))[::-1]
    starts = [shared.find(mark) for mark in SEPARATORS if mark in shared]
    return shared[min(starts) :] if starts else ''


def _ending(stem: str, bases: set[str], proper: bool) -> str | None:
    """Give the rest of a stem after the longest base that begins it, or None; proper: not empty."""
    for length in range(len(stem) - proper, 0, -1):
        rest = stem[length:]
        if (not rest or rest[0] in SEPARATORS) and stem[:length] in bases:
            return rest
    return None


def _preference(ending: str, prefer: str) -> int:
    text = ending.lower()
    if ending and prefer.startswith(ending):
        return len(PREFERRED) + 1
    if any(word in text for word in AVOIDED):
        return -1
    return len(PREFERRED) - next(i for i, word in enumerate(PREFERRED) if word in text)


def _suffixes(ending: str, directory: str) -> tuple[str, ...]:
    """The suffixes of all images of a directory that have an ending."""
    names: Sequence[str] = [name for name in list_files(directory) if name.endswith(IMAGES)]
    found: Mapping[str, None] = {
        ending + split_suffix(name)[1]: None
        for name in names
        if split_suffix(name)[0].endswith(ending)
    }
    return tuple(sorted(found))
