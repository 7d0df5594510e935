"""The file of class counts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mmseg_uda.artifacts.class_counts import ClassCounts

COUNTS = ClassCounts(
    ['a/0.png', 'b/0.png'], np.array([[1, 2], [3, 4]]), dict(classes=['x', 'y'], broken={})
)


def test_written_and_read(tmp_path: Path) -> None:
    COUNTS.write(tmp_path / 'a.npz')
    found = ClassCounts.read(tmp_path / 'a.npz')
    assert found.recipe == COUNTS.recipe
    assert found.digest == COUNTS.digest
    np.testing.assert_array_equal(
        found.select(['/moved/b/0.png', '/moved/a/0.png']), [[3, 4], [1, 2]]
    )
    assert found.select([]).shape == (0, 2)


def test_paths_without_counts() -> None:
    with pytest.raises(ValueError, match="but got none for 'c/0.png'; run tools/class_counts.py"):
        COUNTS.select(['c/0.png'])
    message = "but got 'a/0.png' for 'two/a/0.png' and 'one/a/0.png'"
    with pytest.raises(ValueError, match=message):
        COUNTS.select(['one/a/0.png', 'one/a/0.png', 'two/a/0.png'])


def test_files_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape('expected shape (2, C), one row per name')):
        ClassCounts(['a', 'b'], np.zeros((3, 2)), {})
    path = tmp_path / 'a.npz'
    with pytest.raises(FileNotFoundError, match=r'run tools/class_counts.py CONFIG NEW_FILE'):
        ClassCounts.read(path)
    ClassCounts(['../a.png'], np.zeros((1, 2)), {}).write(path)
    with pytest.raises(ValueError, match=r'\.\./a.png'):
        ClassCounts.read(path)
    COUNTS.write(path)
    with np.load(path) as content:
        changed = {**content, 'counts': content['counts'] + 1}
    np.savez(path, **changed)
    with pytest.raises(ValueError, match='does not have the digest that it holds'):
        ClassCounts.read(path)
