"""Maps of own ids and colours to classes by name, and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.class_map import ClassMap, UnlistedValueError, read_values

CLASSES = ['road', 'car']
IDS = {7: 'road', 8: 'road', 300: 'car', 0: 'ignore'}
COLOURS = {'#804080': 'road', '0, 0, 142': 'car', (0, 0, 0): 'ignore'}


def test_ids_are_merged_ignored_and_mapped_back() -> None:
    mapped = ClassMap(CLASSES, IDS)
    values = np.array([[7, 8, 300, 0]], np.uint16)
    label = mapped.to_train_ids(values)
    assert label.tolist() == [[0, 0, 1, 255]]
    back = mapped.to_values(label)
    assert back.tolist() == [[7, 7, 300, 0]]
    assert back.dtype == np.uint16


def test_colours() -> None:
    mapped = ClassMap(CLASSES, COLOURS)
    picture = np.array([[[128, 64, 128], [0, 0, 142], [0, 0, 0]]], np.uint8)
    label = mapped.to_train_ids(read_values(Image.fromarray(picture), colours=True))
    assert label.tolist() == [[0, 1, 255]]
    assert (mapped.to_values(label) == picture).all()


def test_ignored_pixels_are_255_if_no_value_is_ignored() -> None:
    mapped = ClassMap(CLASSES, {7: 'road', 9: 'car'})
    assert mapped.to_values(np.array([[0, 1, 255]])).tolist() == [[7, 9, 255]]


@pytest.mark.parametrize(
    ('others', 'expected'), [('ignore', [[0, 255, 255]]), ('car', [[0, 1, 255]])]
)
def test_other_values(others: str, expected: list[list[int]]) -> None:
    mapped = ClassMap(CLASSES, {1: 'road', 2: 'car', 255: 'ignore'}, others)
    assert mapped.to_train_ids(np.array([[1, 77, 255]])).tolist() == expected


def test_unlisted_values_are_refused() -> None:
    message = re.escape("got 9 in 25.0% of the pixels; write 9: 'ignore' or its class")
    with pytest.raises(UnlistedValueError, match=message):
        ClassMap(CLASSES, IDS).to_train_ids(np.array([[7, 7, 9, 0]]))
    with pytest.raises(UnlistedValueError, match="got '#010203' in 100.0%"):
        ClassMap(CLASSES, COLOURS).to_train_ids(np.array([[0x010203]]))
    with pytest.raises(UnlistedValueError, match='ids in 0..65535, but got -1..0'):
        ClassMap(CLASSES, IDS).to_train_ids(np.array([[-1, 0]]))


def picture(mode: str) -> Image.Image:
    grey = Image.fromarray(np.array([[0, 2]], np.uint8))
    if mode == 'P':
        image = Image.fromarray(np.array([[0, 2]], np.uint8), mode='P')
        image.putpalette([1, 1, 1, 2, 2, 2, 0, 0, 142])
        return image
    if mode == 'I;16':
        return Image.fromarray(np.array([[0, 2]], np.uint16))
    return grey.convert(mode)


@pytest.mark.parametrize('mode', ['L', 'LA', 'P', 'RGB', 'RGBA', 'I;16'])
def test_ids_of_every_kind_of_file(mode: str) -> None:
    assert read_values(picture(mode), colours=False).tolist() == [[0, 2]]


def test_masks_of_one_bit() -> None:
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert('1')
    assert read_values(image, colours=False).tolist() == [[0, 1]]


def test_floats_that_are_whole() -> None:
    values = read_values(Image.fromarray(np.array([[0, 2]], np.float32)), colours=False)
    assert values.tolist() == [[0, 2]]
    assert values.dtype.kind == 'i'
    for odd in (0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match=f'expected whole numbers, but got {odd}'):
            read_values(Image.fromarray(np.array([[0, odd]], np.float32)), colours=False)


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_sixteen_bits_in_several_channels(tmp_path: Path, suffix: str) -> None:
    """Pillow reads them as 8 bits, all 0 in SYNTHIA's labels."""
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), np.full((2, 2, 3), 7, np.uint16))
    for colours in (False, True):
        with (
            Image.open(path) as image,
            pytest.raises(ValueError, match='got 16 in 3 channels; convert .*synthia'),
        ):
            read_values(image, colours)
    cv2.imwrite(str(path), np.full((2, 2), 300, np.uint16))
    with Image.open(path) as image:
        assert read_values(image, False).tolist() == [[300, 300], [300, 300]]


def test_palette_may_count_by_colour() -> None:
    assert read_values(picture('P'), colours=True).tolist() == [[0x010101, 142]]


def test_kind_of_file_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="expected a label in colours, but got Pillow mode 'L'"):
        read_values(picture('L'), colours=True)
    red = Image.fromarray(np.array([[[255, 0, 0]]], np.uint8))
    with pytest.raises(ValueError, match='expected a label of one channel, but got one in colours'):
        read_values(red, colours=False)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(classes=['a', 'a']), 'classes: expected 1 to 253 names, each once'),
        (dict(classes=['a', 'ignore']), "none 'ignore', but got ['a', 'ignore']"),
        (dict(label_map={1: 'raod', 2: 'car'}), "label_map[1]: expected one of ['road', 'car'"),
        (dict(label_map={1: 'road'}), "expected a value of each class, but got \"none of ['car']"),
        (dict(label_map={1: 'road', '#000000': 'car'}), 'expected either ids or colours'),
        (dict(label_map={'#12': 'road', (0, 0, 0): 'car'}), "colours, '#rrggbb'"),
        (dict(label_map={70000: 'road', 1: 'car'}), 'ids in 0..65535 or colours'),
        (dict(label_map={}), 'label_map: expected a dict {value: name of its class}'),
        (dict(others='rest'), "others: expected one of ('road', 'car', 'ignore', 'error')"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ClassMap(**{'classes': CLASSES, 'label_map': IDS, **arguments})
