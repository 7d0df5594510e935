"""Values in the labels of a directory, and the classes that a user gives them."""

from __future__ import annotations

import inspect
import os.path as osp
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_uda.artifacts.files import PathLike
from mmseg_uda.datasets.class_map import IGNORE, ClassMap, name_value, read_values
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.palettes import Palette, palette_of
from mmseg_uda.utils.progress import track

__all__ = [
    'Classes',
    'LabelValues',
    'guess_classes',
    'look_at_labels',
    'of_dataset',
    'read_classes',
]

SECONDS = 60.0  # of looking at labels
LARGEST_NUMBER = 253  # of classes
LOOKED_AT = 20  # labels that tell whether colours count
LEADING_ZERO = re.compile(r'0\d+')
VALUE_AND_NAME = re.compile(r'[\'"]?[#\d][\da-fA-F, ]*[\'"]?\s*:')  # 7: road
FORM = 'write a list of names, or a dict {id or colour: name}'


class LabelValues(NamedTuple):
    """Values in labels.

    Args:
        colours: The values are packed colours.
        pixels: Number of pixels by value.
        images: Number of labels by value.
        looked_at: Number of labels that were read.
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
    def mean_size(self) -> float:
        """Pixels of a label, on average."""
        return self.pixels.total() / max(1, self.looked_at - len(self.unreadable))

    def share(self, value: int) -> float:
        """Share of a value among all pixels, in [0, 1]."""
        return self.pixels[value] / max(1, self.pixels.total())

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


class _Loader(yaml.SafeLoader):
    """Refuses keys that come twice, and numbers like 010, which YAML takes for 8."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            problem = f'{key.value!r} comes twice' if key.value in seen else ''
            if key.style is None and LEADING_ZERO.fullmatch(str(key.value)):
                problem = f'expected a number without a leading 0, but got {key.value}'
            if problem:
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_classes(path: PathLike) -> Classes:
    """Read a file of classes.

    Args:
        path: A text file with one name in each line, or YAML: a list of names, whose ids are 0, 1
            and so on, or a dict from ids or colours to names. Several values of one name are
            merged; those of ``ignore`` (or null) are ignored. ``others: ignore`` ignores, instead
            of refusing, every value that is not listed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another form.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'--classes: no file {path}; {FORM}')
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
        lines = [line.strip() for line in text.split('\n')]
        listed = str(path).endswith('.txt')
        content = list(filter(None, lines)) if listed else yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = ' '.join(str(error).split())
        raise ValueError(f'--classes: cannot read {path}: {text}; {FORM}') from error
    if isinstance(content, list):
        content = {**dict(enumerate(content)), IGNORE_INDEX: IGNORE}
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f'--classes: expected classes, but got {content!r} in {path}; {FORM}')
    content = {key: IGNORE if name is None else name for key, name in content.items()}
    for name in content.values():
        if not isinstance(name, str) or not name.strip() or name.startswith('#'):
            raise ValueError(
                f'--classes: expected names, but got {name!r} in {path}; write text, in quotes '
                f'where YAML reads another value (no, yes, 7); {FORM}'
            )
        if name != IGNORE and name.lower() == IGNORE:
            raise ValueError(f'--classes: got {name!r} in {path}; write {IGNORE!r}')
        if VALUE_AND_NAME.match(name):
            raise ValueError(
                f'--classes: expected a name, but got {name!r} in {path}; write values with names '
                'in a file that ends in .yaml'
            )
    others = content.pop('others', 'error')
    try:
        return _classes(content, others)
    except ValueError as error:
        raise ValueError(f'--classes: {path}: {error}') from error


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
    classes = _classes(content, 'error')
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
    return _classes(content, 'error')


def _classes(content: Mapping[Any, str], others: str) -> Classes:
    names = list(dict.fromkeys(name for name in content.values() if name != IGNORE))
    class_map = ClassMap(names, content, others)
    palette = palette_of(names)
    if class_map.colours:  # the first colour of each class
        colours = class_map.to_values(np.arange(len(names))[None])[0]
        palette = [[int(part) for part in colour] for colour in colours]
    return Classes(class_map, palette)
