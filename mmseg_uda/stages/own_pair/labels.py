"""Values in the labels of a directory, and the classes that a user gives them."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import numpy as np
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_uda.datasets.class_map import IGNORE, ClassMap, name_value, read_values
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.palettes import Palette, palette_of
from mmseg_uda.utils.progress import track

__all__ = [
    'Classes',
    'LabelValues',
    'guess_classes',
    'look_at_labels',
    'make_classes',
    'of_dataset',
]

SECONDS = 60.0  # of looking at labels
LARGEST_NUMBER = 253  # of classes
LOOKED_AT = 20  # labels that tell whether colours count


class LabelValues(NamedTuple):
    """Values in labels.

    Args:
        colours: The values are packed colours.
        pixels: Number of pixels by value.
        images: Number of labels by value.
        looked_at: Number of labels that were opened.
        total: Number of labels.
        unreadable: Files that could not be read, with the reason.
    """

    colours: bool
    pixels: Counter[int]
    images: Counter[int]
    looked_at: int
    total: int
    unreadable: list[str]

    @property
    def num_read(self) -> int:
        """Number of labels whose values count."""
        return self.looked_at - len(self.unreadable)

    @property
    def mean_size(self) -> float:
        """Pixels of a label, on average."""
        return self.pixels.total() / max(1, self.num_read)

    def share(self, value: int) -> float:
        """Share of a value among all pixels, in [0, 1]."""
        return self.pixels[value] / max(1, self.pixels.total())

    def ignored(self, class_map: ClassMap) -> float:
        """Share of the pixels of no class, in [0, 1]."""
        pixels = (
            number
            for value, number in self.pixels.items()
            if class_map.names.get(value, class_map.others) == IGNORE
        )
        return sum(pixels) / max(1, self.pixels.total())

    def unlisted(self, class_map: ClassMap) -> list[int]:
        """Values that a map does not list."""
        return [value for value in self.pixels if value not in class_map.names]

    def examples(self, values: Iterable[int]) -> str:
        """Write a few of some values as a file of classes has them."""
        return ', '.join(str(name_value(each, self.colours)) for each in [*values][:5])

    def class_shares(self, class_map: ClassMap) -> list[float]:
        """Share of each class among the pixels that have one, in per cent; all 0 without any."""
        pixels = dict.fromkeys(class_map.classes, 0)
        for value, number in self.pixels.items():
            name = class_map.names.get(value, class_map.others)
            if name in pixels:
                pixels[name] += number
        total = max(1, sum(pixels.values()))
        return [round(100 * number / total, 2) for number in pixels.values()]


class Classes(NamedTuple):
    """Classes of a user.

    Args:
        class_map: The map from values to classes.
        palette: One RGB colour per class.
    """

    class_map: ClassMap
    palette: Palette


def look_at_labels(paths: Sequence[str], colours: bool | None) -> LabelValues:
    """Count the values in labels, in random order, for a minute at most.

    Args:
        paths: The files.
        colours: Whether colours count; None to find out by some files.
    """
    order = np.random.default_rng(0).permutation(len(paths))
    if colours is None:
        some = (paths[int(index)] for index in order[:LOOKED_AT])  # one may be black all over
        colours = any(map(_is_coloured, some))
    pixels: Counter[int] = Counter()
    images: Counter[int] = Counter()
    unreadable, done = [], 0
    deadline = time.monotonic() + SECONDS
    with ThreadPoolExecutor(4) as threads:
        jobs = {threads.submit(_count, paths[int(i)], colours): paths[int(i)] for i in order}
        for job in track(as_completed(jobs), len(jobs), 'labels, for a minute at most'):
            done += 1
            try:
                found = job.result()
            except Exception as error:  # decoders raise anything on damaged files
                unreadable.append(f'{jobs[job]}: {error}')
                continue
            pixels.update(found)
            images.update(found.keys())
            if time.monotonic() > deadline:
                threads.shutdown(cancel_futures=True)
                break
    return LabelValues(colours, pixels, images, done, len(paths), unreadable)


def _count(path: str, colours: bool) -> dict[int, int]:
    with Image.open(path) as image:
        values, counts = np.unique(read_values(image, colours), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist()))


def _is_coloured(path: str) -> bool:
    try:
        with Image.open(path) as image:
            if len(image.getbands()) < 3:
                return False
            first, second, third = np.moveaxis(np.asarray(image.convert('RGB')), 2, 0)
    except Exception:  # decoders raise anything on damaged files, which are reported later
        return False
    return bool((first != second).any() or (first != third).any())


def of_dataset(name: str) -> tuple[Classes, str]:
    """Take the classes of a dataset of mmseg, whose labels have its ids.

    Returns:
        The classes, and the suffix of its labels.

    Raises:
        ValueError: There is no such dataset, or it has no classes.
    """
    cls = DATASETS.get(name)
    metainfo = getattr(cls, 'METAINFO', None) or {}
    if 'classes' not in metainfo:
        known = sorted(key for key, each in DATASETS.module_dict.items() if _has_classes(each))
        raise ValueError(f'--from-dataset: expected one of {", ".join(known)}, but got {name!r}')
    defaults = {
        key: parameter.default for key, parameter in inspect.signature(cls).parameters.items()
    }
    first = 1 if defaults.get('reduce_zero_label') is True else 0
    content: dict[Any, str] = dict(enumerate(metainfo['classes'], first))
    content.update({**({0: IGNORE} if first else {}), IGNORE_INDEX: IGNORE})
    classes = make_classes(content, 'error')
    palette = [list(colour) for colour in metainfo.get('palette') or classes.palette]
    return classes._replace(palette=palette), str(defaults.get('seg_map_suffix', ''))


def _has_classes(cls: Any) -> bool:
    return 'classes' in (getattr(cls, 'METAINFO', None) or {})


def guess_classes(values: LabelValues) -> Classes:
    """Make a class of each value but 255, or black.

    Raises:
        ValueError: There are too many values for classes.
    """
    if not 0 < len(values.pixels) <= LARGEST_NUMBER:
        kind = 'colours' if values.colours else 'ids'
        raise ValueError(
            f'expected labels with 1 to {LARGEST_NUMBER} {kind}, but got {len(values.pixels)}; '
            'write --classes, or store labels without compression that changes their pixels (PNG)'
        )
    nothing = 0 if values.colours else IGNORE_INDEX
    content = {}
    for value in sorted(values.pixels):
        key = name_value(value, values.colours)
        content[key] = IGNORE if value == nothing else f'class_{str(key).strip("#")}'
    return make_classes(content, 'error')


def make_classes(content: Mapping[Any, str], others: str) -> Classes:
    """Make classes, with their palette, of the class of each value and of all other values."""
    names = list(dict.fromkeys(name for name in content.values() if name != IGNORE))
    class_map = ClassMap(names, content, others)
    palette = palette_of(names)
    if class_map.colours:  # the first colour of each class
        colours = class_map.to_values(np.arange(len(names))[None])[0]
        palette = [[int(part) for part in colour] for colour in colours]
    return Classes(class_map, palette)
