"""Values in label files, ids or colours, and the classes that they stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.arguments import expect

__all__ = [
    'IGNORE',
    'LABEL_VALUES',
    'ClassMap',
    'UnlistedValueError',
    'check_channels',
    'name_value',
    'pack_colour',
    'read_values',
]

IGNORE = 'ignore'
LABEL_VALUES = 'label_values'  # in a dataset's metainfo: [[value in files, class], ...]
UNLISTED = 254  # in the table of train ids
LARGEST_ID = 2**16 - 1
HEX = re.compile(r'#[0-9a-fA-F]{6}')


class UnlistedValueError(ValueError):
    """A label has a value that its map does not list."""


def pack_colour(key: Any) -> int:
    """Pack a colour into one number, ``r * 65536 + g * 256 + b``.

    Args:
        key: ``'#rrggbb'``, ``'r,g,b'`` or three numbers in 0..255.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> pack_colour('#0000ff'), pack_colour('0, 1, 0'), pack_colour((1, 0, 0))
        (255, 256, 65536)
    """
    if isinstance(key, str) and HEX.fullmatch(key.strip()):
        return int(key.strip()[1:], 16)
    parts = key.split(',') if isinstance(key, str) else key
    numbers = [int(part) for part in parts] if _are_numbers(parts) else []
    expect(
        len(numbers) == 3 and all(0 <= number <= 255 for number in numbers),
        'label_map',
        "ids in 0..65535 or colours, '#rrggbb', 'r,g,b' or (r, g, b)",
        key,
    )
    red, green, blue = numbers
    return red * 65536 + green * 256 + blue


def _are_numbers(parts: Any) -> bool:
    return isinstance(parts, (list, tuple)) and all(str(part).strip().isdigit() for part in parts)


def name_value(value: int, colours: bool) -> int | str:
    """Write a value as configs have it: an id, or ``'#rrggbb'``."""
    return f'#{value:06x}' if colours else int(value)


def read_values(image: Image.Image, colours: bool) -> NDArray[Any]:
    """Read the values of a label file.

    Args:
        image: The opened file. Ids may be grey values, indices of a palette, or grey values in
            three equal channels. A palette counts by its colours if these are mapped.
        colours: True to give packed colours, see :func:`pack_colour`.

    Returns:
        Shape (H, W), integers.

    Raises:
        ValueError: It is a picture in colours, but ids are mapped, or the reverse, it has 16 bits
            in each of several channels, or numbers that are not whole.
    """
    check_channels(image)
    several = len(image.getbands()) > 2  # LA is grey with opacity
    if colours:
        if not several and image.mode != 'P':
            raise ValueError(f'expected a label in colours, but got Pillow mode {image.mode!r}')
        red, green, blue = np.moveaxis(np.asarray(image.convert('RGB'), np.int32), 2, 0)
        return red * 65536 + green * 256 + blue
    values = np.asarray(image)
    if values.ndim == 3:
        if several and (values[..., 1:3] != values[..., :1]).any():
            raise ValueError('expected a label of one channel, but got one in colours')
        values = values[..., 0]
    if values.dtype == bool:
        return values.astype(np.uint8)
    return values if values.dtype.kind in 'iu' else _whole(values)


def check_channels(image: Image.Image) -> None:
    """Refuse 16 bits in several channels, of which Pillow drops the lower 8 without a word.

    Raises:
        ValueError: The image has these. A file tells its bits only until its pixels are read.
    """
    modes = [str(tile[3]) for tile in getattr(image, 'tile', ())]  # such as 'RGB;16B'
    if len(image.getbands()) > 1 and any(';16' in mode for mode in modes):
        raise ValueError(
            f'expected 8 bits per channel, but got 16 in {len(image.getbands())} channels; convert '
            "SYNTHIA's labels by tools/dataset_converters/synthia.py, others to one channel of ids"
        )


def _whole(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Make ids of numbers such as 7.0, as TIFF files of other tools have them."""
    odd = values[~(np.isfinite(values) & (values == np.rint(values)))]
    if odd.size:
        raise ValueError(f'expected whole numbers, but got {odd[0]}; write ids')
    return values.astype(np.int64)


class ClassMap:
    """A map from the values in label files to classes by name.

    Args:
        classes: Names of the classes, in the order of their train ids.
        label_map: Class of each value in the files, or ``'ignore'``. Values are ids, or colours as
            for :func:`pack_colour`. Several values may have one class, which merges them.
        others: Class of all other values, ``'ignore'``, or ``'error'`` to refuse them.

    Raises:
        ValueError: A name is unknown or has no value, or ids and colours are mixed.

    Example:
        >>> mapped = ClassMap(['road', 'car'], {7: 'road', 8: 'road', 26: 'car', 0: 'ignore'})
        >>> mapped.to_train_ids(np.array([[7, 8, 26, 0]]))
        array([[  0,   0,   1, 255]], dtype=uint8)
        >>> mapped.to_values(np.array([[0, 1, 255]]))
        array([[ 7, 26,  0]], dtype=uint8)
    """

    def __init__(
        self, classes: Sequence[str], label_map: Mapping[Any, str], others: str = 'error'
    ) -> None:
        self.classes = tuple(classes)
        names = [*self.classes, IGNORE]
        fits = 0 < len(self.classes) < UNLISTED and len(set(names)) == len(names)
        expect(fits, 'classes', f'1 to {UNLISTED - 1} names, each once, none {IGNORE!r}', classes)
        expect(bool(label_map), 'label_map', 'a dict {value: name of its class}', label_map)
        self.colours = not all(_is_id(key) for key in label_map)
        self.names: dict[int, str] = {}  # value -> class
        for key, name in label_map.items():
            expect(
                not (self.colours and _is_id(key)), 'label_map', 'either ids or colours', label_map
            )
            expect(name in names, f'label_map[{key!r}]', f'one of {names}', name)
            self.names[pack_colour(key) if self.colours else int(key)] = name
        expect(others in (*names, 'error'), 'others', f'one of {(*names, "error")}', others)
        self.others = others
        unmapped = sorted({*self.classes} - {*self.names.values(), others})
        expect(not unmapped, 'label_map', 'a value of each class', f'none of {unmapped}')

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """Train id of every value that a file can hold."""
        ids = {name: index for index, name in enumerate(self.classes)}
        ids.update({IGNORE: IGNORE_INDEX, 'error': UNLISTED})
        size = 2**24 if self.colours else LARGEST_ID + 1
        table = np.full(size, ids[self.others], np.uint8)
        for value, name in self.names.items():
            table[value] = ids[name]
        return table

    def to_train_ids(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Map the values of a label (H, W) to train ids, 255 ignored.

        Raises:
            UnlistedValueError: A value is not listed, and ``others`` is ``'error'``.
        """
        if values.min(initial=0) < 0 or values.max(initial=0) >= len(self.table):
            raise UnlistedValueError(
                f'expected ids in 0..{LARGEST_ID}, but got {values.min()}..{values.max()}'
            )
        label = self.table[values]
        unlisted = label == UNLISTED
        if unlisted.any():
            value = name_value(int(values[unlisted][0]), self.colours)
            share = (values == values[unlisted][0]).mean()
            raise UnlistedValueError(
                f'expected the values that are listed, but got {value!r} in {share:.1%} of the '
                f"pixels; write {value!r}: 'ignore' or its class, or others='ignore'"
            )
        return label

    def to_values(self, label: NDArray[Any]) -> NDArray[Any]:
        """Map train ids back to the first value of their class, as files hold them.

        Pixels of no class get the first value that is ignored, or 255; in colours, black.

        Args:
            label: Train ids, shape (H, W).

        Returns:
            Shape (H, W), uint8 or uint16, or (H, W, 3) uint8 RGB if the values are colours.
        """
        first: dict[str, int] = {}
        for value, name in self.names.items():
            first.setdefault(name, value)
        nothing = first.get(IGNORE, 0 if self.colours else IGNORE_INDEX)
        values = [first.get(name, nothing) for name in self.classes]
        table = np.array([*values, nothing])
        found = table[np.minimum(label, len(self.classes))]
        if self.colours:
            return np.stack([found >> 16, found >> 8 & 255, found & 255], -1).astype(np.uint8)
        return found.astype(np.uint8 if table.max() < 256 else np.uint16)


def _is_id(key: Any) -> bool:
    return isinstance(key, int) and not isinstance(key, bool) and 0 <= key <= LARGEST_ID
