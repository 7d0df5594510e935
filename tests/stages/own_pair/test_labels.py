"""Files of classes, and values in labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_uda.datasets.class_map import ClassMap
from mmseg_uda.stages.own_pair.images import look_at_images
from mmseg_uda.stages.own_pair.labels import guess_classes, look_at_labels, read_classes
from mmseg_uda.stages.own_pair.pairing import Pairing
from mmseg_uda.stages.own_pair.report import warnings_of


def test_list_of_names(tmp_path: Path) -> None:
    for name, text in (('a.txt', 'road\n\ncar\n'), ('a.yaml', '[road, car]')):
        (tmp_path / name).write_text(text)
        classes = read_classes(tmp_path / name)
        assert classes.class_map.names == {0: 'road', 1: 'car', 255: 'ignore'}
        assert classes.palette == [[128, 64, 128], [0, 0, 142]]  # Cityscapes'


def test_map(tmp_path: Path) -> None:
    (tmp_path / 'a.yaml').write_text('7: road\n8: road\n0: ignore\n3:\nothers: van\n26: van\n')
    classes = read_classes(tmp_path / 'a.yaml')
    assert classes.class_map.classes == ('road', 'van')
    assert classes.class_map.names == {7: 'road', 8: 'road', 0: 'ignore', 3: 'ignore', 26: 'van'}
    assert classes.class_map.others == 'van'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'expected classes, but got None'),
        ('a: road', "colours, '#rrggbb'"),
        ('[[', 'cannot read '),
        ('7: ignore', 'classes: expected 1 to 253 names'),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'a.yaml').write_text(text)
    with pytest.raises(ValueError, match=f'--classes: .*{message}'):
        read_classes(tmp_path / 'a.yaml')


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
    found = list(
        warnings_of(
            look_at_images('', [image]),
            look_at_images('', [grey]),
            look_at_labels([label], False),
            classes.class_map,
            pairing,
        )
    )
    assert found == [
        'one domain is grey and the other one in colour',
        "source: 1 images have no label and are left out, the first is 'x'",
        "source: 1 labels have no image: 'y'",
        'source: 1 labels have another size than their image, with which training ends, the first '
        f'is {label}',
        'labels are JPEG files, whose compression changes values; write PNG',
        'no pixel of the classes road, car',
        '100.0% of the pixels are ignored',
        '1 values are not listed (100.0% of pixels): 7',
    ]


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.txt', '7: road\n8: car', "expected a name, but got '7: road'.*ends in .yaml"),
        ('a.txt', "'#804080': road", 'expected a name'),
        ('a.txt', '# my classes\nroad', "expected names, but got '# my classes'"),
        ('a.yaml', '- 7: road', r"expected names, but got \{7: 'road'\}"),
        ('a.yaml', '7: road\n7: sky', "'7' comes twice"),
        ('a.yaml', '010: car', 'expected a number without a leading 0, but got 010'),
        ('a.yaml', '8: [a, b]', r"expected names, but got \['a', 'b'\]"),
        ('a.yaml', '- no\n- yes', 'expected names, but got False.*in quotes'),
        ('a.yaml', '7: road\n8: Ignore', "got 'Ignore' in .*write 'ignore'"),
    ],
)
def test_mistakes_in_files_of_classes(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f'--classes: .*{message}') as caught:
        read_classes(tmp_path / name)
    assert '\n' not in str(caught.value)


def test_encodings_of_files_of_classes(tmp_path: Path) -> None:
    (tmp_path / 'a.txt').write_text('road\ncar', encoding='utf-8-sig')
    assert read_classes(tmp_path / 'a.txt').class_map.classes == ('road', 'car')
    (tmp_path / 'a.txt').write_text('straße', encoding='latin-1')
    with pytest.raises(ValueError, match=r'--classes: cannot read .*a\.txt: .utf-8. codec'):
        read_classes(tmp_path / 'a.txt')
