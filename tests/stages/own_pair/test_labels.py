"""Files of classes, and values in labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.class_map import ClassMap
from mmseg_uda.stages.own_pair.class_file import read_classes
from mmseg_uda.stages.own_pair.images import look_at_images
from mmseg_uda.stages.own_pair.labels import guess_classes, look_at_labels
from mmseg_uda.stages.own_pair.pairing import Pairing
from mmseg_uda.stages.own_pair.report import domain_warnings, label_warnings


def write(path: Path, array: np.ndarray) -> str:
    Image.fromarray(array.astype(np.uint8)).save(path)
    return str(path)


def test_values(tmp_path: Path) -> None:
    paths = [write(tmp_path / f'{i}.png', np.array([[3, 3, 3, 9 * i]])) for i in range(2)]
    damaged = tmp_path / '2.png'
    damaged.write_bytes(b'no image')
    values = look_at_labels(paths, None)
    assert not values.colours
    assert values.pixels == {3: 6, 0: 1, 9: 1}
    assert values.images == {3: 2, 0: 1, 9: 1}
    assert values.share(3) == 0.75
    assert guess_classes(values).class_map.classes == ('class_0', 'class_3', 'class_9')
    assert look_at_labels([*paths, str(damaged)], False).unreadable[0].startswith(str(damaged))


def test_shares_of_classes(tmp_path: Path) -> None:
    """In per cent of the pixels that have a class; merged values add up."""
    label = write(tmp_path / 'a.png', np.array([[0, 0, 3, 7, 8, 26, 26, 9]]))
    values = look_at_labels([label], None)
    names = {0: 'ignore', 7: 'road', 8: 'road', 26: 'car'}
    classes = ['road', 'van', 'car']
    assert values.class_shares(ClassMap(classes, names, 'van')) == [33.33, 33.33, 33.33]
    assert values.class_shares(ClassMap(['road', 'car'], names, 'ignore')) == [50.0, 50.0]
    assert values.class_shares(ClassMap(['van'], {40: 'van'}, 'ignore')) == [0.0]


def test_colours_are_found(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.png', np.array([[[0, 0, 0], [128, 64, 128]]]))
    values = look_at_labels([path], None)
    assert values.colours
    classes = guess_classes(values)
    assert classes.class_map.classes == ('class_804080',)
    assert classes.palette == [[128, 64, 128]]


def test_photographs_are_no_labels(tmp_path: Path) -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (20, 20, 3))
    with pytest.raises(ValueError, match='expected labels with 1 to 253 colours, but got 400'):
        guess_classes(look_at_labels([write(tmp_path / 'a.png', photograph)], None))


def test_what_looks_like_a_mistake(tmp_path: Path) -> None:
    image = write(tmp_path / 'a.png', np.zeros((4, 4, 3)))
    grey = write(tmp_path / 'b.png', np.zeros((4, 4)))
    label = write(tmp_path / 'c.jpg', np.full((4, 8), 7))
    (tmp_path / 'classes.yaml').write_text('1: road\n2: car\nothers: ignore')
    classes = read_classes(tmp_path / 'classes.yaml')
    pairing = Pairing('', (), '', (), [image], [label], ['x'], ['y'])
    found = [
        *domain_warnings(look_at_images('', [image]), look_at_images('', [grey])),
        *label_warnings('source', look_at_labels([label], False), classes.class_map, pairing),
    ]
    assert found == [
        'one domain is grey and the other one in colour',
        "source: 1 images have no label and are left out, the first is 'x'",
        "source: 1 labels have no image: 'y'",
        'source: 1 labels have another size than their image, with which training ends, the first '
        f'is {label}',
        'source: labels are JPEG files, whose compression changes values; write PNG',
        'source: no pixel of the classes road, car',
        'source: 100.0% of the pixels are ignored',
        'source: 1 values are not listed (100.0% of pixels): 7',
    ]


def test_float_labels(tmp_path: Path) -> None:
    """Other tools write ids as TIFF of floats."""
    for name, value in (('a.tif', 7.0), ('b.tif', 0.5)):
        Image.fromarray(np.array([[3, value]], np.float32)).save(tmp_path / name)
    values = look_at_labels([str(tmp_path / 'a.tif'), str(tmp_path / 'b.tif')], None)
    assert values.pixels == {3: 1, 7: 1}
    assert values.unreadable == [
        f'{tmp_path}/b.tif: expected whole numbers, but got 0.5; write ids'
    ]
