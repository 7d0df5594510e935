"""Report on two domains, in lines and as a contact sheet."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import mmcv
import numpy as np
from PIL import Image

from mmseg_uda.datasets.class_map import ClassMap, name_value, read_values
from mmseg_uda.datasets.label_files import NUM_THREADS, image_header
from mmseg_uda.stages.own_pair.images import ImageSet
from mmseg_uda.stages.own_pair.labels import Classes, LabelValues
from mmseg_uda.stages.own_pair.pairing import Pairing
from mmseg_uda.utils.drawing import label_to_color, outline_similar, overlay
from mmseg_uda.utils.palettes import legend_of
from mmseg_uda.utils.sheets import contact_sheet

__all__ = [
    'domain_warnings',
    'draw_sheet',
    'image_warnings',
    'images_report',
    'label_warnings',
    'labels_report',
    'pairing_report',
]

MANY_SIZES = 4
SHEET_ROWS = 4
CELL = 400  # pixels
TRIES = 5  # of files that may be damaged

T = TypeVar('T')
R = TypeVar('R')
GREY = ('L', 'LA', '1', 'P')
WIDE = ('I;16', 'I;16B', 'I', 'F')


def images_report(name: str, images: ImageSet) -> str:
    """Describe images in one line."""
    sizes = [f'{w}x{h} ({n})' for (w, h), n in images.sizes.most_common(MANY_SIZES)]
    more = f' and {len(images.sizes) - MANY_SIZES} more sizes' * (len(images.sizes) > MANY_SIZES)
    return (
        f'{name}: {len(images.paths)} images in {images.directory}; '
        f'sizes {", ".join(sizes)}{more}; '
        f'channels {_counts(images.modes)}; suffixes {_counts(images.suffixes)}'
    )


def pairing_report(name: str, pairing: Pairing) -> str:
    """Describe in one line how labels were found."""
    example = f'{pairing.images[0]} has {pairing.labels[0]}'
    return f'{name}: {len(pairing.labels)} images have labels; {example}'


def labels_report(values: LabelValues, class_map: ClassMap) -> Iterator[str]:
    """Describe the values in labels, one line each, the most frequent ones first."""
    yield f'values in {values.num_read} of {values.total} labels:'
    for value, _ in values.pixels.most_common():
        name = class_map.names.get(value)
        if name is None:
            name = f'not listed ({class_map.others})'
        yield (
            f'  {name_value(value, values.colours)!s:>8}  {values.share(value):6.1%} of pixels, in '
            f'{values.images[value]} labels  {name}'
        )


def image_warnings(name: str, images: ImageSet) -> Iterator[str]:
    """Find what looks like a mistake in the images of a directory."""
    if images.unreadable:
        yield f'{name}: {len(images.unreadable)} files are no images: {images.unreadable[0]}'
    wide = sum(images.modes[mode] for mode in WIDE)
    if wide:
        yield f'{name}: {wide} images have more than 8 bits, which are read as 8'
    if images.modes['RGBA']:
        yield f'{name}: the opacity of {images.modes["RGBA"]} images is not read'


def domain_warnings(source: ImageSet, target: ImageSet) -> Iterator[str]:
    """Find what looks like a mistake in the images of two domains beside each other."""
    shares = [sum(each.modes[mode] for mode in GREY) / len(each.paths) for each in (source, target)]
    if abs(shares[0] - shares[1]) > 0.5:
        yield 'one domain is grey and the other one in colour'
    if len(set(source.paths) & set(target.paths)):
        yield 'source and target share images'


def label_warnings(
    name: str, values: LabelValues, class_map: ClassMap, pairing: Pairing
) -> Iterator[str]:
    """Find what looks like a mistake in the labels of a set, by whose name each line begins."""
    if pairing.unlabelled:
        count, first = len(pairing.unlabelled), pairing.unlabelled[0]
        yield f'{name}: {count} images have no label and are left out, the first is {first!r}'
    if pairing.unused:
        yield f'{name}: {len(pairing.unused)} labels have no image: {pairing.unused[0]!r}'
    differing = _differing_sizes(pairing)
    if differing:
        yield (
            f'{name}: {len(differing)} labels have another size than their image, with which '
            f'training ends, the first is {differing[0]}'
        )
    if values.unreadable:
        yield (
            f'{name}: {len(values.unreadable)} labels cannot be read, with which training ends: '
            f'{values.unreadable[0]}'
        )
    if any(path.lower().endswith(('.jpg', '.jpeg')) for path in pairing.labels):
        yield f'{name}: labels are JPEG files, whose compression changes values; write PNG'
    for line in _value_warnings(values, class_map):
        yield f'{name}: {line}'


def _value_warnings(values: LabelValues, class_map: ClassMap) -> Iterator[str]:
    names = class_map.names
    missing = [
        name
        for name in class_map.classes
        if not any(values.pixels[value] for value, each in names.items() if each == name)
    ]
    if missing and class_map.others not in missing:
        yield f'no pixel of the classes {", ".join(missing)}'
    ignored = values.ignored(class_map)
    if ignored > 0.5:
        yield f'{ignored:.1%} of the pixels are ignored'
    unlisted = values.unlisted(class_map)
    if unlisted:
        share = sum(map(values.share, unlisted))
        examples = values.examples(unlisted)
        more = ', and so on' if len(unlisted) > 5 else ''
        yield f'{len(unlisted)} values are not listed ({share:.1%} of pixels): {examples}{more}'


def _differing_sizes(pairing: Pairing) -> list[str]:
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        sizes = [
            [header and header[:2] for header in threads.map(image_header, paths)]
            for paths in (pairing.images, pairing.labels)
        ]
    triples = zip(pairing.labels, *sizes)
    return [path for path, image, label in triples if image and label and image != label]


def draw_sheet(
    pairing: Pairing, target: Sequence[str], classes: Classes, colours: bool
) -> np.ndarray:
    """Draw images of the source, their labels over them, and images of the target, with a legend.

    Returns:
        RGB, uint8, shape (H, W, 3).

    Raises:
        ValueError: Nothing can be drawn.
    """
    class_map = classes.class_map
    rows: list[list[Any]] = []
    seen: set[int] = set()
    pairs = [*zip(pairing.images, pairing.labels)]
    sources = _some(pairs, lambda pair: _read_pair(*pair, colours))
    for (image, values), other in zip(sources, _some(target, _read_image)):
        # What is not listed has no colour, as if it were ignored.
        label = class_map.table[values.astype(np.int64).clip(0, len(class_map.table) - 1)]
        seen.update(np.unique(label).tolist())
        painted = overlay(image, label_to_color(label, classes.palette), 0.65)
        rows.append([image, outline_similar(painted, label, classes.palette), other])

    if not rows:
        raise ValueError(
            'expected images, labels of their sizes, and images of the target that can be read, '
            f'but got none, such as {pairing.images[0]}, {pairing.labels[0]} and {target[0]}'
        )

    def legend(width: int) -> np.ndarray:
        return legend_of(seen, class_map.classes, classes.palette, width)

    return contact_sheet(rows, ['source', 'source labels', 'target'], CELL, legend)


def _some(items: Sequence[T], read: Callable[[T], R | None]) -> list[R]:
    """Read one item of each row's part of all, the first that can be read."""
    found: list[R] = []
    rows = min(SHEET_ROWS, len(items))
    for row in range(rows):
        part = items[row * len(items) // rows : (row + 1) * len(items) // rows][:TRIES]
        readable = (each for each in map(read, part) if each is not None)
        found += itertools.islice(readable, 1)
    return found


def _read_image(path: str) -> np.ndarray | None:
    """Read an image, RGB; None if it is damaged, which the report or the training says."""
    try:
        image: np.ndarray | None = mmcv.imread(path, channel_order='rgb')
    except Exception:  # decoders raise anything on damaged files
        return None
    return image


def _read_pair(image: str, label: str, colours: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Read an image and the values of its label; None if they cannot be drawn together."""
    pixels = _read_image(image)
    try:
        with Image.open(label) as opened:
            values = read_values(opened, colours)
    except Exception:  # decoders raise anything on damaged files
        return None
    fits = pixels is not None and pixels.shape[:2] == values.shape
    return (pixels, values) if fits else None  # type: ignore[return-value]


def _counts(found: Counter[str]) -> str:
    return ', '.join(f'{name or "none"} ({count})' for name, count in found.most_common())
