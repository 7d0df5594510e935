"""Files that are there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmseg_uda.artifacts.files import atomic_write


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
