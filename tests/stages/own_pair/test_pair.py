"""Two directories of a user's: what is refused, reported and written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from own_pairs import init_small, small_pair
from PIL import Image

from mmseg_uda.stages.own_pair.literals import check_text, literal

# Read as a config, the first text would end the quotes of the second one.
HOSTILE = [r'{{$X:.*\}}', "'+str(exec(\"open('ran', 'w')\"))+'", ' #']
KINDS = dict(images='src', labels='lab')
PREFIXES = dict(src="it's {$X:.}\\n_", lab='"{0} #')
ODD = ["it's", r'a\b\n{0}', '"{x}}"', '{ {$X:1}}', 'é猫 #', '$HOME ${y}']


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return small_pair(tmp_path, 4)


def write_classes(folder: Path, names: list[str], others: str = 'ignore') -> str:
    text = ''.join(f'{index}: {_quoted(name)}\n' for index, name in enumerate(names))
    (folder / 'classes.yaml').write_text(f'{text}others: {_quoted(others)}\n', encoding='utf-8')
    return f'--classes={folder / "classes.yaml"}'


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def test_names_of_classes_run_no_code(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"--classes: .*: expected no '\{\{', which mmengine"):
        init_small(folder, write_classes(folder, HOSTILE))
    assert not (folder / 'own').exists()
    assert not (folder / 'ran').exists()


def test_names_of_files_run_no_code(folder: Path) -> None:
    for kind in ('src', 'lab'):
        for path in (folder / kind).iterdir():
            path.rename(path.with_name(f'{HOSTILE[0]}{kind}{path.name}'))
    with pytest.raises(ValueError, match=r"init_pair: expected names without '\{\{', which"):
        init_small(folder)
    assert not (folder / 'own').exists()


def test_odd_texts_are_read_as_they_were(folder: Path) -> None:
    for kind in ('src', 'lab'):
        (folder / kind).rename(folder / f"it's {kind} {{0}}")
        for path in (folder / f"it's {kind} {{0}}").iterdir():
            path.rename(path.with_name(f'{PREFIXES[kind]}{path.name}'))
    options = [f"--source-{kind}={folder}/it's {name} {{0}}" for kind, name in KINDS.items()]
    path = init_small(folder, *options, write_classes(folder, ODD, others=ODD[0]))
    written = Config.fromfile(path)
    assert written.classes == tuple(ODD)
    assert written.label_map == dict(enumerate(ODD))
    assert written.others == ODD[0]
    assert written.source.data_prefix.img_path == f"{folder}/it's src {{0}}"
    assert written.source.img_prefix == PREFIXES['src']
    assert written.source.seg_map_prefix == PREFIXES['lab']
    written.dump(folder / 'copy.py')  # as a training leaves it beside its checkpoints
    copy = Config.fromfile(folder / 'copy.py')
    assert (copy.classes, copy.source) == (written.classes, written.source)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('o\nimport os  # ', r"--out-dir: expected no line break, but got '.*o\\nimport os  # '"),
        ('{{ fileDirname }}', r"--out-dir: expected no '\{\{', which mmengine replaces"),
        (os.fsdecode(b'caf\xe9'), r"--out-dir: expected characters of UTF-8, .*'.*caf\\udce9'"),
    ],
)
def test_directories_that_cannot_stand_in_a_config(folder: Path, name: str, message: str) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match=message) as caught:
        init_small(folder, f'--out-dir={folder / name}')
    assert '\n' not in str(caught.value)
    with pytest.raises(ValueError, match=message.replace('--out-dir', '--target-images')):
        init_small(folder, f'--target-images={folder / name}')
    assert sorted(folder.iterdir()) == before


@pytest.mark.skipif(sys.platform != 'linux', reason='names are UTF-8 elsewhere')
def test_files_whose_names_are_not_utf8(folder: Path) -> None:
    (folder / 'src/000.png').rename(folder / 'src' / os.fsdecode(b'\xe9.png'))
    (folder / 'lab/000.png').rename(folder / 'lab' / os.fsdecode(b'\xe9.png'))
    (folder / 'lab' / os.fsdecode(b'\xe9.png')).write_bytes(b'x')
    init_small(folder)
    assert 'udce9.png' in (folder / 'own/p.txt').read_text()


def test_texts() -> None:
    for text in ('a', "it's {x} $y", 'é', 'a}}', '{ {'):
        check_text('place', text)
        assert eval(literal((text, 1))) == (text, 1)
    for text in ('a\u2028b', 'a\r', 'a{{', '\udc80'):
        with pytest.raises(ValueError, match='^place: expected '):
            check_text('place', text)
    with pytest.raises(ValueError, match='init_pair: expected names without'):
        literal({'a': ['x{{']})


def with_validation(folder: Path) -> list[str]:
    """Copy the labelled source as the target's validation set."""
    flags = []
    for kind, name in KINDS.items():
        (folder / f'val_{kind}').mkdir()
        for path in (folder / name).iterdir():
            (folder / f'val_{kind}' / path.name).write_bytes(path.read_bytes())
        flags.append(f'--target-val-{kind}={folder / f"val_{kind}"}')
    return flags


def test_mistakes_in_the_validation_set_are_named(folder: Path) -> None:
    flags = with_validation(folder)
    damaged = folder / 'val_labels/000.png'
    damaged.write_bytes(damaged.read_bytes()[:60])
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / 'val_labels/001.png')
    Image.fromarray(np.full((40, 56), 9, np.uint8)).save(folder / 'val_labels/002.png')
    (folder / 'val_images/003.png').write_bytes(b'x')
    init_small(folder, *flags)
    report = (folder / 'own/p.txt').read_text()
    assert 'validation: values in 3 of 4 labels:' in report
    begin = 'look at this: validation: '
    assert f'{begin}1 labels cannot be read, with which training ends: {damaged}' in report
    assert f'{begin}1 labels have another size than their image' in report
    assert f'{begin}1 files are no images: ' in report
    assert f'{begin}1 values are not listed' in report
    assert 'look at this: source' not in report


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('damaged', 'expected labels that can be read, but 3 of 4 cannot, such as '),
        ('colours', '4 of 4 cannot, such as .*: expected a label of one channel, but got one in'),
        ('others', r'expected values that --classes lists, but 100\.0% .* others, such as [78], '),
    ],
)
def test_validation_labels_that_do_not_fit(folder: Path, change: str, message: str) -> None:
    flags = with_validation(folder)
    for path in sorted((folder / 'val_labels').iterdir())[change == 'damaged' :]:
        if change == 'damaged':
            path.write_bytes(b'x')
        else:
            label = np.asarray(Image.open(path)) + 7
            colours = np.stack([label, label, label * 2], -1)
            Image.fromarray(colours if change == 'colours' else label).save(path)
    with pytest.raises(ValueError, match=f'--target-val-labels: .*{message}'):
        init_small(folder, *flags)
    assert not (folder / 'own').exists()


def test_source_without_a_pixel_of_its_classes(folder: Path) -> None:
    classes = write_classes(folder, ['a', 'b'])
    for path in (folder / 'lab').iterdir():
        Image.fromarray(np.asarray(Image.open(path)) + 7).save(path)
    with pytest.raises(ValueError, match='--source-labels: expected pixels of the classes, but'):
        init_small(folder, classes)


def test_classes_of_another_dataset(folder: Path) -> None:
    (folder / 'classes.yaml').write_text('100: road\n101: car\n')
    with pytest.raises(
        ValueError, match=r'--source-labels: .* lists, but 100\.0% .*; list them, or'
    ):
        init_small(folder, f'--classes={folder / "classes.yaml"}')
    assert not (folder / 'own').exists()
