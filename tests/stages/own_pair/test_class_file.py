"""Files of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmseg_uda.stages.own_pair.class_file import read_classes


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


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.txt', '7: road\n8: car', "expected a name, but got '7: road'.*ends in .yaml"),
        ('a.txt', "'#804080': road", 'expected a name'),
        ('a.txt', '# my classes\nroad', "expected names, but got '# my classes'"),
        ('a.txt', '1 a\n2 b', "expected a name, but got '1 a'.*ends in .yaml"),
        ('a.txt', '1. road', 'expected a name'),
        ('a.txt', 'road,1', 'expected a name'),
        ('a.txt', '7', 'expected a name'),
        ('a.txt', 'id,name\nroad', "expected a name, but got 'id,name'.*no line that is a title"),
        ('a.txt', 'Class Name', 'expected a name'),
        ('a.yaml', '[255, 0, 0]: a', "expected an id, or a colour in quotes such as '255,0,0'"),
        ('a.yaml', '{a: b}: c', 'but got a list or a dict'),
        ('a.yaml', '- "a{{ fileDirname }}"', "expected no '{{', which mmengine replaces"),
        ('a.yaml', r'- "a\nb"', 'expected no line break'),
        ('a.yaml', r'- "a\udcff"', 'expected characters of UTF-8'),
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


def test_names_with_numbers(tmp_path: Path) -> None:
    for name, text in (('a.txt', '2wheeler\nlane-2\nclass_3\n'), ('a.yaml', '[1 a, b 2, c]')):
        (tmp_path / name).write_text(text)
        assert len(read_classes(tmp_path / name).class_map.classes) == 3
