"""The manifest and the names of the label files."""

import json

import pytest

from mmseg_uda.artifacts.pseudo_labels import Manifest, label_names


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
    assert make().differences(make(thresholds=None, complete=False)) == []
    other = make(files=['a.png'], config_sha256='d')
    assert make().differences(other) == ['config_sha256', 'files']


def test_names_keep_sub_folders():
    paths = ['/data/train/aachen/x.y.jpg', '/data/train/bochum/x.y.jpg']
    assert label_names(paths) == ['aachen/x.y.png', 'bochum/x.y.png']
    assert label_names(paths, '/data/train/') == ['aachen/x.y.png', 'bochum/x.y.png']
    assert label_names(paths[:1], '/data') == ['train/aachen/x.y.png']
    assert label_names(paths[:1]) == ['x.y.png']


@pytest.mark.parametrize(
    ('paths', 'root', 'match'),
    [
        ([], None, 'without images'),
        (['/a/x.png', '/a/x.jpg'], None, 'two images for the label'),
        (['/a/x.png', '/b/x.png'], '/a', "'/b/x.png' outside"),
        (['/a/x.png', '/a/a/x.png'], '/a', "label could be 'x.png' or 'a/x.png'"),
    ],
)
def test_bad_names(paths, root, match):
    with pytest.raises(ValueError, match=match):
        label_names(paths, root)
