"""The file of image-level labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmseg_uda.artifacts.image_labels import ImageLabels

LABELS = np.array([[0.25, 0.75, 0], [0, 0, 1]], np.float32)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / 'deep' / 'labels.npz')
    labels = ImageLabels(['a/ü.png', 'b.png'], LABELS.astype(float), recipe=dict(seed=3))
    labels.write(path)
    found = ImageLabels.read(path)
    assert (found.names, found.kind, found.recipe) == (labels.names, 'share', dict(seed=3))
    assert found.labels.dtype == np.float32
    assert found.labels.tolist() == LABELS.tolist()
    assert found.num_classes == 3
    first = Path(path).read_bytes()
    labels.write(path)
    assert Path(path).read_bytes() == first
    assert [each.name for each in Path(path).parent.iterdir()] == ['labels.npz']


def test_the_digest_is_of_everything() -> None:
    given: dict[str, Any] = dict(names=['a', 'b'], labels=LABELS, kind='share', recipe={})
    changes = [
        {},
        dict(names=['a', 'c']),
        dict(labels=LABELS[::-1]),
        dict(kind='presence'),
        dict(recipe=dict(seed=1)),
    ]
    assert len({ImageLabels(**{**given, **change}).digest for change in changes}) == 5


def test_damage_is_seen(tmp_path: Path) -> None:
    path = str(tmp_path / 'labels.npz')
    Path(path).write_bytes(b'PK')
    with pytest.raises(
        ValueError,
        match=r'ImageLabels: cannot read .*labels.npz .*; run tools/train_image_labels.py CONFIG '
        r'--out NEW_FILE',
    ):
        ImageLabels.read(path)
    meta = dict(format_version=1, kind='share', recipe={}, digest='0')
    for change, reason in (
        ({}, 'its content does not have the digest that it holds'),
        (dict(format_version=2), 'expected format version 1, but got 2'),
    ):
        np.savez(path, names=['a', 'b'], labels=LABELS, meta=json.dumps({**meta, **change}))
        with pytest.raises(ValueError, match=reason):
            ImageLabels.read(path)
    with pytest.raises(FileNotFoundError, match='no file none; run tools/train_image_labels'):
        ImageLabels.read('none')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(kind='count'), r"kind: expected one of \('share', 'presence'\), but got 'count'"),
        (dict(names=['a']), r'labels: expected shape \(1, C\), .* but got \(2, 3\)'),
        (dict(labels=LABELS * 2), r'labels: expected values in \[0, 1\]'),
        (dict(labels=LABELS * np.nan), r'labels: expected values in \[0, 1\]'),
    ],
)
def test_wrong_content_is_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = dict(names=['a', 'b'], labels=LABELS)
    with pytest.raises(ValueError, match=f'ImageLabels.{message}'):
        ImageLabels(**{**given, **change})
