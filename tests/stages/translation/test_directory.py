"""Folders in the style of others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_uda.artifacts.translated import TranslationManifest
from mmseg_uda.datasets.transforms.fourier import mix_amplitude, resize_style
from mmseg_uda.stages.translation import directory, translate_folder

NAMES = ('a/1', 'a/2', 'b/1', 'c')


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in NAMES:
        for kind, suffix, shape in (
            ('images', '_x.png', (8, 12, 3)),
            ('labels', '_y.png', (8, 12)),
        ):
            path = tmp_path / 'source' / kind / (name + suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(0, 19, shape).astype(np.uint8) + 50)
    (tmp_path / 'source/images/other.png').write_bytes(b'no image, of another suffix')
    for name in ('t/1.png', '2.jpg', '3.png'):
        path = tmp_path / 'target' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (10, 20, 3)).astype(np.uint8))
    return tmp_path


def translate(data: Path, out: str = 'out', **changes: Any) -> TranslationManifest:
    arguments = dict(
        beta=0.2,
        seed=3,
        labels=str(data / 'source/labels'),
        image_suffix='_x.png',
        label_suffix='_y.png',
    )
    return translate_folder(
        str(data / 'source/images'),
        str(data / 'target'),
        str(data / out),
        **{**arguments, **changes},
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Images that are translated."""
    seen: list[str] = []
    original = directory._translate

    def record(entry: dict[str, str], **kwargs: Any) -> None:
        original(entry, **kwargs)
        seen.append(entry['image'])

    monkeypatch.setattr(directory, '_translate', record)
    return seen


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of the log."""
    lines: list[str] = []
    monkeypatch.setattr(directory, 'print_log', lambda line, *_: lines.append(line))
    return lines


def test_images_labels_and_manifest(data: Path) -> None:
    manifest = translate(data)
    out = data / 'out'
    assert sorted(contents(out)) == sorted(
        [
            'manifest.json',
            *(f'images/{n}_x.png' for n in NAMES),
            *(f'labels/{n}_y.png' for n in NAMES),
        ]
    )
    stored = json.loads((out / 'manifest.json').read_text())
    assert stored['complete']
    assert stored['images'] == manifest.images
    assert stored['recipe']['beta'] == 0.2
    assert len(stored['recipe_sha256']) == 64
    for entry, name in zip(stored['images'], sorted(NAMES)):
        assert entry['image'] == f'images/{name}_x.png'
        assert entry['label'] == f'labels/{name}_y.png'
        image = cv2.imread(str(data / 'source' / entry['image']))
        style = resize_style(cv2.imread(str(data / 'target' / entry['style'])), 8, 12)
        np.testing.assert_array_equal(
            cv2.imread(str(out / entry['image'])), mix_amplitude(image, style, 0.2)
        )
        copied, label = out / entry['label'], data / 'source' / entry['label']
        assert copied.read_bytes() == label.read_bytes()


def test_result_is_a_data_set(data: Path) -> None:
    translate(data)
    dataset = DATASETS.build(
        dict(
            type='StreetDataset',
            data_root=str(data / 'out'),
            img_suffix='_x.png',
            seg_map_suffix='_y.png',
            data_prefix=dict(img_path='images', seg_map_path='labels'),
        )
    )
    assert len(dataset) == len(NAMES)


def test_styles_follow_from_the_seed(data: Path) -> None:
    first = [entry['style'] for entry in translate(data, '0').images]
    assert first == [entry['style'] for entry in translate(data, '1', beta=0.4).images]
    found = {
        tuple(entry['style'] for entry in translate(data, f's{seed}', seed=seed).images)
        for seed in range(6)
    }
    assert len(found) > 3
    assert contents(data / '0/images') != contents(data / '1/images')


def test_a_subset_is_random_nested_and_keeps_its_styles(data: Path) -> None:
    styles = {entry['image']: entry['style'] for entry in translate(data, 'all').images}
    before: set[str] = set()
    for count in (1, 2, 3, 9):
        manifest = translate(data, f'first{count}', max_images=count)
        names = [str(entry['image']) for entry in manifest.images]
        assert len(names) == min(count, len(NAMES))
        assert names == sorted(names)
        assert before <= set(names)
        assert all(styles[str(entry['image'])] == entry['style'] for entry in manifest.images)
        assert len(contents(data / f'first{count}')) == 2 * len(names) + 1
        before = set(names)
    drawn = {
        str(translate(data, f'd{seed}', max_images=1, seed=seed).images[0]['image'])
        for seed in range(8)
    }
    assert len(drawn) > 1


def test_without_labels(data: Path) -> None:
    manifest = translate(data, labels=None)
    assert manifest.images[0]['label'] is None
    assert manifest.recipe['labels'] is None
    assert not (data / 'out/labels').exists()


def test_processes_change_nothing(data: Path) -> None:
    translate(data, 'one')
    translate(data, 'two', nproc=2)
    assert contents(data / 'one') == contents(data / 'two')


def test_complete_folder_is_left_alone(data: Path, log: list[str]) -> None:
    translate(data)
    assert len(log) == len(NAMES)
    before = contents(data / 'out')
    assert translate(data).complete
    assert len(log) == len(NAMES)
    (data / 'out/images/c_x.png').unlink()
    (data / 'out/labels/a/1_y.png').unlink()
    translate(data)
    assert log[len(NAMES) :] == ['images/a/1_x.png', 'images/c_x.png']
    assert contents(data / 'out') == before


def test_resume_after_a_kill(data: Path, log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    translate(data, 'whole')
    log.clear()

    def die(*args: Any) -> None:
        if len(log) == 2:
            raise KeyboardInterrupt
        replace(*args)

    replace = os.replace
    monkeypatch.setattr(os, 'replace', die)
    with pytest.raises(KeyboardInterrupt):
        translate(data)
    monkeypatch.setattr(os, 'replace', replace)
    stopped = contents(data / 'out')
    assert sorted(stopped) == [
        'images/a/1_x.png',
        'images/a/2_x.png',
        'labels/a/1_y.png',
        'labels/a/2_y.png',
        'manifest.json',
    ]
    assert not json.loads(stopped['manifest.json'])['complete']
    (data / 'out/images/a/1_x.png').write_bytes(stopped['images/a/1_x.png'][:60])
    (data / 'out/images/c_x.png.7.tmp').touch()  # what a killed process leaves is no stranger
    translate(data)
    assert log[2:] == ['images/a/1_x.png', 'images/b/1_x.png', 'images/c_x.png']
    (data / 'out/images/c_x.png.7.tmp').unlink()
    assert (data / 'out/images/a/1_x.png.old-1').stat().st_size == 60
    (data / 'out/images/a/1_x.png.old-1').unlink()
    assert contents(data / 'out') == contents(data / 'whole')


@pytest.mark.parametrize(
    ('changes', 'key'),
    [
        (dict(beta=0.3), 'beta: 0.2 -> 0.3'),
        (dict(seed=4), 'seed: 3 -> 4'),
        (dict(max_images=2), r'labels: .*; max_images: None -> 2'),
        (dict(labels=None), 'labels: .* -> None'),
    ],
)
def test_another_recipe_needs_another_folder(data: Path, changes: dict[str, Any], key: str) -> None:
    translate(data)
    before = contents(data / 'out')
    with pytest.raises(
        ValueError, match=rf'made with other settings \({key}\); write another path$'
    ):
        translate(data, **changes)
    assert contents(data / 'out') == before
    translate(data, overwrite=True, **changes)
    translate(data, 'fresh', **changes)
    assert contents(data / 'out') == contents(data / 'fresh') != before
    assert not (data / 'out.old-1').exists()


def test_overwriting_keeps_what_was_edited(data: Path) -> None:
    translate(data)
    (data / 'out/images/c_x.png').write_bytes(b'mine')
    translate(data, overwrite=True, beta=0.3)
    assert contents(data / 'out.old-1') == {'images/c_x.png': b'mine'}
    translate(data, 'fresh', beta=0.3)
    assert contents(data / 'out') == contents(data / 'fresh')


def test_overwriting_without_digests_moves_aside(data: Path) -> None:
    translate(data)
    before, path = contents(data / 'out'), data / 'out/manifest.json'
    content = json.loads(path.read_text())
    del content['digests']  # as an earlier version wrote it
    path.write_text(json.dumps(content))
    assert translate(data).complete
    translate(data, overwrite=True, beta=0.3)
    del before['manifest.json']
    assert contents(data / 'out.old-1') == before


@pytest.mark.parametrize(
    ('name', 'key'),
    [
        ('source/images/c_x.png', 'source'),
        ('target/3.png', 'target'),
        ('source/labels/c_y.png', 'labels'),
    ],
)
def test_other_inputs_are_another_recipe(data: Path, name: str, key: str) -> None:
    translate(data)
    with open(data / name, 'ab') as file:
        file.write(b'more')
    with pytest.raises(ValueError, match=rf'made with other settings \({key}: '):
        translate(data)


def test_moved_inputs_are_the_same(data: Path, log: list[str]) -> None:
    translate(data)
    moved = data / 'moved'
    moved.mkdir()
    for name in ('source', 'target', 'out'):
        (data / name).rename(moved / name)
    translate(moved)
    assert len(log) == len(NAMES)


def test_unknown_files_are_refused(data: Path) -> None:
    (data / 'out').mkdir()
    (data / 'out/mine.txt').touch()
    with pytest.raises(ValueError, match=r"has the file 'mine\.txt' that no manifest\.json lists"):
        translate(data, overwrite=True)
    translate(data, 'other')
    (data / 'other/images/new_x.png').touch()
    with pytest.raises(ValueError, match=r"has the file 'images/new_x\.png' that no manifest"):
        translate(data, 'other')
    for text in ('{}', 'no json', '{"rule": {}}', '[]'):
        (data / 'out/manifest.json').write_text(text)
        with pytest.raises(ValueError, match=r'TranslationManifest: cannot read .*manifest\.json'):
            translate(data)
    (data / 'other/manifest.json').rename(data / 'out/manifest.json')
    content = json.loads((data / 'out/manifest.json').read_text())
    (data / 'out/manifest.json').write_text(json.dumps({**content, 'format_version': 0}))
    with pytest.raises(ValueError, match='expected format version 1, but got 0'):
        translate(data)


def test_wrong_arguments(data: Path) -> None:
    for changes, match in (
        (dict(beta=0), r'FDATranslator\.beta: expected a number in \(0, 1\], but got 0'),
        (dict(seed=-1), r'translate_folder\.seed: expected an integer of at least 0, but got -1'),
        (
            dict(max_images=0),
            r'max_images: expected an integer of at least 1, but got 0',
        ),
        (dict(nproc=0), r'translate_folder\.nproc: expected an integer of at least 1, but got 0'),
    ):
        with pytest.raises(ValueError, match=match):
            translate(data, **changes)
    for out, place in (
        ('source/images', 'source=.* which is the same;'),
        ('source/images/new', 'source=.* which is inside of it;'),
        ('target', 'target=.* which is the same;'),
        ('source/labels/new', 'labels=.* which is inside of it;'),
        ('source', 'source=.* which is above it;'),
    ):
        with pytest.raises(
            ValueError, match=f'translate_folder.out: expected .* apart from {place}'
        ):
            translate(data, out, overwrite=True)
    (data / 'file').touch()
    with pytest.raises(ValueError, match=r'out: expected a directory, but got the file'):
        translate(data, 'file')
    for suffix in ('', '.jpg'):
        with pytest.raises(FileNotFoundError, match=f"image_suffix got '{suffix}', in which no"):
            translate(data, image_suffix=suffix)
    with pytest.raises(FileNotFoundError, match=r"lacks 4 labels, first 'a/1_z\.png'; correct"):
        translate(data, label_suffix='_z.png')
    for path in (data / 'target').rglob('*.*'):
        path.unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r'translate_folder.target: expected a directory with images \(.png, .jpg, .jpeg\), '
        "but got '.*'",
    ):
        translate(data, 'new')
    assert not (data / 'new').exists()


@pytest.mark.parametrize('nproc', [1, 2])
def test_damaged_images_are_named_before_any_is_translated(
    data: Path, log: list[str], nproc: int, said: list[str]
) -> None:
    broken = data / 'source/images/b/1_x.png'
    whole = broken.read_bytes()
    broken.write_bytes(b'x')
    (data / 'source/images/c_x.png').write_bytes(b'')
    message = (
        r'translate_folder: expected images that can be read, but 2 of \d cannot, the first: .*'
    )
    with pytest.raises(OSError, match=f'{message}1_x.png.*; replace or remove them'):
        translate(data, nproc=nproc)
    named = '\n'.join(said)
    assert str(broken) in named
    assert str(data / 'source/images/c_x.png') in named
    assert log == []
    assert not (data / 'out').exists()
    broken.write_bytes(whole)
    (data / 'source/images/c_x.png').unlink()
    assert len(translate(data).images) == len(NAMES) - 1


def test_damaged_styles_are_named_before_any_image_is_translated(data: Path) -> None:
    for path in (data / 'target').rglob('*.*'):
        path.write_bytes(b'x')
    with pytest.raises(OSError, match='expected images that can be read, but [123] of'):
        translate(data)
    assert not (data / 'out').exists()


def test_images_of_other_endings_are_named(data: Path, said: list[str]) -> None:
    for name in ('1.jpg', '2.PNG', 'a/3.jpg'):
        (data / 'source/images' / name).touch()
    translate(data)
    assert said[0] == (
        f"translate_folder: image_suffix='_x.png' takes 4 of 8 images in {data}/source/images; "
        '2 end in .jpg, 1 end in .PNG, 1 end in .png'
    )


def test_labels_among_the_images_are_not_left_out(data: Path, said: list[str]) -> None:
    (data / 'source/images/other.png').unlink()
    for name in NAMES:
        (data / f'source/labels/{name}_y.png').rename(data / f'source/images/{name}_y.png')
    translate(data, labels=str(data / 'source/images'))
    assert [line for line in said if 'image_suffix' in line] == []
