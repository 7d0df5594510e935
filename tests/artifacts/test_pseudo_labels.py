"""The manifest of a directory of pseudo labels."""

import json
import re

import pytest

from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.artifacts.recipe import differences


def make(**changes):
    fields = dict(
        rule={'type': 'bdl', 'share': 0.5},
        num_classes=2,
        config_sha256='c',
        checkpoint_sha256='w',
        files=['a.png', 'b.png'],
        thresholds=[0.1, 0.2],
        predicted_pixels=[10, 0],
        kept_pixels=[5, 0],
        complete=True,
    )
    return Manifest(**{**fields, **changes})


def test_round_trip(tmp_path):
    manifest = make()
    manifest.write(str(tmp_path))
    assert Manifest.read(str(tmp_path)) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ['manifest.json']
    content = json.loads((tmp_path / 'manifest.json').read_text())
    assert content['num_images'] == 2
    assert content['coverage'] == [0.5, None]


def test_differences():
    old = make().recipe
    assert differences(old, make(thresholds=None, complete=False).recipe) == []
    assert differences(old, make(files=['a.png'], config_sha256='d').recipe) == [
        "config_sha256: 'c' -> 'd'",
        "files: ['a.png', 'b.png'] -> ['a.png']",
    ]


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('{', 'JSONDecodeError: '),
        ('[]', r'ValueError: expected an object with keys, but got \[\]'),
        ('{}', 'ValueError: expected format version 1, but got None'),
        ('{"format_version": 1}', "ValueError: expected the key 'rule', but got 'format_version'"),
        ('{"format_version": 2}', 'ValueError: expected format version 1, but got 2'),
    ],
)
def test_unreadable_manifest(tmp_path, text, reason):
    (tmp_path / 'manifest.json').write_text(text)
    command = '; run tools/generate_pseudo_labels.py CONFIG CHECKPOINT --out-dir NEW_DIRECTORY'
    with pytest.raises(ValueError, match=rf'Manifest: cannot read .*json \({reason}.*') as error:
        Manifest.read(tmp_path)
    assert command in str(error.value)
    (tmp_path / 'manifest.json').unlink()
    with pytest.raises(FileNotFoundError, match=f'Manifest: .*no file .*{re.escape(command)}'):
        Manifest.read(tmp_path)


def test_a_manifest_of_the_first_version_is_read(tmp_path):
    make().write(tmp_path)
    content = json.loads((tmp_path / 'manifest.json').read_text())
    content.update(package_version='0.1.0', format_version=1, a_later_field=1)
    (tmp_path / 'manifest.json').write_text(json.dumps(content))
    assert Manifest.read(tmp_path) == make()
