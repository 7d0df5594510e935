"""Files are written whole or not at all, and read with helpful errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmseg_uda.artifacts.files import atomic_write, explain_read_errors, list_files


def test_replaces(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'a.txt'
    for text in ('one', 'two'):
        with atomic_write(str(path)) as partial:
            partial.write_text(text)
            assert partial.parent == path.parent
            assert partial.suffix == '.tmp'
            assert not path.exists() or path.read_text() == 'one'
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def interrupted() -> None:
        with atomic_write(path) as partial:
            partial.write_text('half')
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_read_errors_name_file_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / 'a.json'

    def read() -> None:
        with explain_read_errors('Reader', path, 'run make'):
            raise KeyError('x')

    with pytest.raises(FileNotFoundError, match=r'^Reader: no file .*a\.json; run make$'):
        read()
    path.touch()
    with pytest.raises(
        ValueError, match=r"^Reader: cannot read .*a\.json \(KeyError: 'x'\); run m"
    ):
        read()


def test_list_of_files(tmp_path: Path) -> None:
    for name in ('b/2', 'b/a/1', 'c', 'a.7.tmp'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(list_files(tmp_path)) == ['c', 'b/2', 'b/a/1']
