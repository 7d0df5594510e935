"""The spatial prior's file and its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmseg_uda.artifacts.spatial_prior import PriorRecipe, SpatialPrior


@pytest.mark.parametrize(('height', 'kernel'), [(1024, 71), (512, 35), (760, 53), (64, 5), (8, 1)])
def test_default_window_is_in_proportion(height: int, kernel: int) -> None:
    recipe = PriorRecipe(height, 2 * height)
    assert recipe.kernel == kernel
    assert recipe.sigma == kernel / 6


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(height=0), 'PriorRecipe.height: expected a number of pixels, but got 0'),
        (dict(width=2.0), 'PriorRecipe.width: expected a number of pixels, but got 2.0'),
        (dict(kernel=4), 'PriorRecipe.kernel: expected an odd number of pixels, but got 4'),
        (dict(kernel=-1), 'PriorRecipe.kernel: .* got -1'),
        (dict(kernel=True), 'PriorRecipe.kernel: .* got True'),
        (dict(sigma=0), 'PriorRecipe.sigma: expected a positive number or None, but got 0'),
        (dict(border='wrap'), "border: expected one of .'constant', 'reflect', .* but got 'wrap'"),
        (dict(norm='max'), "norm: expected one of .'class', 'pixel', 'none'.*, but got 'max'"),
    ],
)
def test_errors(kwargs: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        PriorRecipe(**{'height': 4, 'width': 6, **kwargs})


def make_prior() -> SpatialPrior:
    values = np.random.default_rng(0).random((3, 9, 14)).astype(np.float32)
    return SpatialPrior(values, dict(norm='class', classes=['a', 'b', 'c'], format_version=1))


def test_file(tmp_path: Path) -> None:
    prior = make_prior()
    prior.write(tmp_path / 'new' / 'prior.npz')
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['prior.npz']
    found = SpatialPrior.read(tmp_path / 'new' / 'prior.npz')
    assert np.array_equal(found.values, prior.values)
    assert found.values.dtype == np.float32
    assert found.recipe == prior.recipe
    with np.load(tmp_path / 'new' / 'prior.npz', allow_pickle=False) as content:
        assert set(content) == {'prior', 'recipe', 'digest'}
        assert json.loads(str(content['recipe']))['classes'] == ['a', 'b', 'c']


@pytest.mark.parametrize(
    'change',
    [
        lambda content: content['prior'].__setitem__((0, 0, 0), 7),
        lambda content: content.update(recipe=str(content['recipe']).replace('"class"', '"pixel"')),
        lambda content: content.update(prior=content['prior'].reshape(3, 14, 9)),
    ],
)
def test_changed_file(tmp_path: Path, change: Any) -> None:
    path = tmp_path / 'prior.npz'
    make_prior().write(path)
    content = dict(np.load(path))
    change(content)
    np.savez(path, **content)
    with pytest.raises(ValueError, match='not have the digest that it holds.; run tools/'):
        SpatialPrior.read(path)


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / 'prior.npz'
    with pytest.raises(FileNotFoundError, match=r'no file .*; run tools/spatial_prior.py'):
        SpatialPrior.read(path)
    make_prior().write(path)
    whole = path.read_bytes()
    for content in (b'', b'text', whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r'cannot read .*prior.npz \(\w+: .*\); run tools'):
            SpatialPrior.read(path)
    np.savez(path, prior=np.zeros(3))
    with pytest.raises(ValueError, match='cannot read .*KeyError: '):
        SpatialPrior.read(path)
    prior = make_prior()
    prior.recipe['format_version'] = 9
    prior.write(path)
    with pytest.raises(ValueError, match='expected format version 1, but got 9'):
        SpatialPrior.read(path)
