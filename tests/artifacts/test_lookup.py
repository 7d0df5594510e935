"""Names of images by their paths' ends."""

from __future__ import annotations

import pytest

from mmseg_uda.artifacts.lookup import find_name, relative_names


def test_names_keep_directories() -> None:
    paths = ['/data/train/aachen/x.png', '/data/train/bern/x.png', '/data/train/x.png']
    names = ['aachen/x.png', 'bern/x.png', 'x.png']
    assert relative_names(paths) == names
    assert relative_names(paths, '/data') == [f'train/{name}' for name in names]


def test_names_with_a_suffix() -> None:
    paths = ['/data/train/aachen/x.y.jpg', '/data/train/bochum/x.y.jpg']
    names = ['aachen/x.y.png', 'bochum/x.y.png']
    assert relative_names(paths, suffix='.png') == names
    assert relative_names(paths, '/data/train/', '.png') == names
    assert relative_names(paths[:1], '/data', '.png') == ['train/aachen/x.y.png']
    assert relative_names(paths[:1], suffix='.png') == ['x.y.png']


def test_the_longest_name_is_found() -> None:
    names = ['x.png', 'a/x.png', 'b/a/x.png']
    assert find_name(names, '/moved/b/a/x.png') == 'b/a/x.png'
    assert find_name(names, '/moved/c/a/x.png') == 'a/x.png'
    assert find_name(names, 'c/x.jpg') is None
    assert find_name(names, 'c/x.jpg', '.png') == 'x.png'


@pytest.mark.parametrize(
    ('paths', 'root', 'match'),
    [
        ([], None, 'expected images, but got none'),
        (['/a/x.png', '/a/x.png'], None, "expected one image per name, .* are both 'x.png'"),
        (['/a/x.png', '/a/x.jpg'], None, "'/a/x.png' and '/a/x.jpg' are both 'x.png'"),
        (['/a/x.png', '/b/x.png'], '/a', "expected images below '/a', but got '/b/x.png'"),
        (['/a/x.png', '/a/a/x.png'], '/a', "'/a/x.png' is 'x.png' or 'a/x.png'"),
    ],
)
def test_bad_names(paths: list[str], root: str | None, match: str) -> None:
    with pytest.raises(ValueError, match=f'relative_names: .*{match}'):
        relative_names(paths, root, '.png')
