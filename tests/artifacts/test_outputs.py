"""Outputs are kept apart from what is read, and other people's files stay."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mmseg_uda.artifacts.files import atomic_write, free_path, list_files, move_aside
from mmseg_uda.artifacts.outputs import (
    check_directory,
    check_distinct,
    check_output,
    clear_outputs,
)


@pytest.mark.parametrize(
    ('out', 'relation'),
    [('a', 'the same'), ('a/b/c', 'inside of it'), ('.', 'above it'), ('link/b', 'inside of it')],
)
def test_outputs_at_inputs(tmp_path: Path, monkeypatch, out: str, relation: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a').mkdir()
    (tmp_path / 'link').symlink_to('a')
    check_output('Tool.out', 'ab', [('data', 'a')])
    with pytest.raises(
        ValueError,
        match=rf"^Tool.out: expected a place apart from data='a', which is read, but got '{out}', "
        rf'which is {relation}; write another path$',
    ):
        check_output('Tool.out', out, [('other', '/b'), ('data', 'a')])


def test_outputs_of_one_name(tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to('a')
    check_distinct({'out': tmp_path / 'a', '--onnx': tmp_path / 'b'})
    with pytest.raises(
        ValueError, match=r'^--onnx: expected another file than that of out, but got .*link.*; wri'
    ):
        check_distinct({'out': tmp_path / 'a', '--onnx': tmp_path / 'link'})


def test_directories_at_files(tmp_path: Path) -> None:
    check_directory('OUT', tmp_path)
    check_directory('OUT', tmp_path / 'new/one')
    (tmp_path / 'file').touch()
    for out in ('file', 'file/new/one'):
        with pytest.raises(
            ValueError, match='^OUT: expected a directory, but got the file .*file.; write another'
        ):
            check_directory('OUT', tmp_path / out)


def test_names_beside(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a.old-1').symlink_to('nowhere')
    assert free_path(tmp_path / 'a') == tmp_path / 'a.old-2'
    assert move_aside(tmp_path / 'a') == tmp_path / 'a.old-2'
    assert (tmp_path / 'a.old-2').is_dir()
    assert list(list_files(tmp_path)) == []


def test_a_link_is_moved_within_its_directory(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    (tmp_path / 'a' / 'file').write_text('text')
    (tmp_path / 'b' / 'link').symlink_to('../a/file')
    assert move_aside(tmp_path / 'b' / 'link') == tmp_path / 'b' / 'link.old-1'
    assert (tmp_path / 'b' / 'link.old-1').read_text() == 'text'
    assert (tmp_path / 'a' / 'file').read_text() == 'text'


def test_older_content_is_kept(tmp_path: Path) -> None:
    path = tmp_path / 'a.txt'
    for text in ('one', 'one', 'two', 'three'):
        with atomic_write(path, keep=True) as partial:
            partial.write_text(text)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        'a.txt': 'three',
        'a.txt.old-1': 'one',
        'a.txt.old-2': 'two',
    }


def test_only_files_with_their_digest_are_deleted(tmp_path: Path) -> None:
    for name in ('x/ours', 'x/edited', 'x/sub/unknown', 'x/mine'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    digests = dict.fromkeys(('ours', 'edited'), hashlib.sha256(b'x/ours').hexdigest())
    clear_outputs(tmp_path / 'x', ['ours', 'edited', 'sub/unknown', 'missing'], digests)
    assert list(list_files(tmp_path / 'x')) == ['mine']
    assert sorted(list_files(tmp_path / 'x.old-1')) == ['edited', 'sub/unknown']
    clear_outputs(tmp_path / 'x', ['ours', 'missing'], digests)
    assert not (tmp_path / 'x.old-2').exists()
