"""The stage that counts a spatial prior, before a training that mixes by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys

from mmseg_uda.artifacts.spatial_prior import SpatialPrior
from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.state import read_recipe

run_toy = toys.load_script('tests/pipeline/run_toy.py')
PRIOR = dict(name='prior', type='spatial_prior', config='camix.py', workers=0)
TRAIN = dict(
    name='train', type='train', config='camix.py', options={'model.mixer.prior': '{prior}'}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config that trains for two iterations."""
    folder = tmp_path / 'configs'
    folder.mkdir()
    cfg = toys.runner_cfg(
        tmp_path / 'data',
        folder,
        toys.method_cfg('camix'),
        max_iters=2,
        custom_imports=dict(imports=['toys', 'mmseg_uda']),
    )
    cfg.custom_hooks = [dict(type='EMATeacherHook')]
    cfg.train_dataloader.target.dataset.pipeline.insert(
        1, dict(type='TrackPositions', height=16, width=24)
    )
    cfg.pop('work_dir')
    cfg.pop('experiment_name')
    (folder / 'camix.py').write_text(
        '\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items())
    )
    return folder


def read(folder: Path, *stages: dict[str, Any]) -> Any:
    return read_pipeline(
        str(run_toy.write_pipeline(folder, list(stages))), work_dir=folder.parent / 'run'
    )


def test_prior_then_training(folder: Path) -> None:
    read(folder, PRIOR, TRAIN).run()
    path = folder.parent / 'run' / 'prior' / 'prior.npz'
    prior = SpatialPrior.read(path)
    assert prior.values.shape == (4, 16, 24)
    assert prior.recipe['norm'] == 'class'
    assert (folder.parent / 'run' / 'train' / 'iter_2.pth').is_file()
    assert [step.action for step in read(folder, PRIOR, TRAIN).plan()] == ['skip', 'skip']
    for key, value in dict(norm='pixel', kernel=3, sigma=0.5, border='reflect').items():
        steps = read(folder, dict(PRIOR, **{key: value}), TRAIN).plan()
        assert [step.action for step in steps] == ['replace', 'run']
        assert f'arguments.{key}: ' in steps[0].reason
    assert read(folder, dict(PRIOR, size=(16, 24)), TRAIN).plan()[0].action == 'skip'
    # How many processes load labels does not matter.
    assert read(folder, dict(PRIOR, workers=1), TRAIN).plan()[0].action == 'skip'


def test_recipe(folder: Path) -> None:
    read(folder, dict(PRIOR, size=(8, 12), norm='none')).run()
    recipe = read_recipe(folder.parent / 'run' / 'prior')
    assert recipe['arguments'] == dict(
        height=8, width=12, kernel=1, sigma=1 / 6, border='constant', norm='none'
    )
    assert list(recipe['inputs']) == ['train_dataloader.source.dataset']
    assert list(recipe['config']) == ['train_dataloader']


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(norm='max'), r"stage 'prior': type \[ValueError\] PriorRecipe.norm: .*got 'max'"),
        (dict(size=(0, 4)), 'PriorRecipe.height: .*got 0'),
        (dict(kernels=3), "stage 'prior': expected a key, but got kernels; write kernel"),
        (dict(options={'train_dataloader.source.dataset.pipeline': []}), 'add LoadAnnotations'),
        (
            dict(options={'train_dataloader.target.dataset.pipeline': []}),
            'no TrackPositions in train_dataloader.target',
        ),
    ],
)
def test_errors(folder: Path, change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read(folder, dict(PRIOR, **change))


def test_wrong_kind_of_stage(folder: Path) -> None:
    first = dict(TRAIN, name='first', options={})
    with pytest.raises(
        ValueError,
        match='model.mixer.prior got {first}, which is a checkpoint; '
        'refer to a stage that makes a prior',
    ):
        read(folder, first, dict(TRAIN, options={'model.mixer.prior': '{first}'}))
    with pytest.raises(
        ValueError,
        match='load_from got {prior}, which is a prior; refer to a stage that makes a checkpoint',
    ):
        read(folder, PRIOR, dict(TRAIN, options={'load_from': '{prior}'}))


def test_prior_that_is_missing(folder: Path) -> None:
    pipeline = read(folder, dict(TRAIN, options={'model.mixer.prior': 'none.npz'}))
    with pytest.raises(ValueError, match="model.mixer.prior: expected a file, but got 'none.npz'"):
        pipeline.plan()
