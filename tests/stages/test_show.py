"""Pictures as stages of a pipeline, and as figures of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import toys
from mmseg.registry import MODELS

from mmseg_uda.config.tables import Table
from mmseg_uda.pipeline.tables import table_stages
from mmseg_uda.stages.context import PipelineContext
from mmseg_uda.stages.show import ShowStage


def write(folder: Path, method: str) -> Path:
    """A config and a checkpoint of a method; gives the latter."""
    cfg = toys.runner_cfg(folder, folder / 'work', toys.method_cfg(method))
    text = '\n'.join(f'{key} = {value!r}' for key, value in cfg.to_dict().items())
    (folder / f'{method}.py').write_text(text)
    torch.manual_seed(2)
    path = folder / f'{method}.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    return path


def stage(folder: Path, method: str, **arguments: Any) -> ShowStage:
    arguments = dict(config=f'{method}.py', checkpoint=str(folder / f'{method}.pth'), **arguments)
    return ShowStage('figure', arguments, PipelineContext('p', folder, folder / 'out', seed=0))


def test_pictures(tmp_path: Path) -> None:
    for method in ('pit', 'source_only', 'cdanet'):
        write(tmp_path, method)
    other = dict(config='pit.py', checkpoint=str(tmp_path / 'pit.pth'))
    rows = {}
    for method, arguments in (
        ('pit', dict(kind='units')),
        ('source_only', dict(kind='prediction', images=2)),
        ('source_only', dict(kind='plain_points', points=[(2, 1)], compare=other)),
        ('cdanet', dict(targets=[str(tmp_path / 'target/images/1.png')])),
    ):
        made = stage(tmp_path, method, **arguments)
        made.check({})
        assert not list(made.missing())
        path = made.run(lambda reference: reference, 'experiment').outputs['output']
        rows[f'{method} {arguments.get("kind")}'] = round(cv2.imread(str(path)).shape[0] / 348)
    # Blocks of 320 pixels and a caption: an image and three classes; two images; a point.
    assert rows == {
        'pit units': 4,
        'source_only prediction': 2,
        'source_only plain_points': 2,
        'cdanet None': 2,
    }


def test_recipe_has_the_compared_network_and_the_source(tmp_path: Path) -> None:
    for method in ('source_only', 'cdanet'):
        write(tmp_path, method)
    other = dict(config='cdanet.py', checkpoint=str(tmp_path / 'cdanet.pth'))
    recipe = stage(tmp_path, 'source_only', kind='plain_points', compare=other).recipe()
    assert recipe['config']['compared']['type'] == 'CDANet'
    assert recipe['inputs']['compare'] is not None
    assert 'train_dataloader' not in recipe['config']
    points = stage(tmp_path, 'cdanet', kind='points')
    assert set(points.recipe()['config']['train_dataloader']) == {'source'}


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (dict(kind='point'), 'kind: expected one of .*, but got'),
        (dict(images=0), 'images: expected an integer'),
        (dict(compare=dict(config='cdanet.py')), 'checkpoint is missing'),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any], match: str) -> None:
    write(tmp_path, 'cdanet')
    with pytest.raises(ValueError, match=match):
        stage(tmp_path, 'cdanet', **arguments).check({})


def test_a_run_with_all_rows_of_a_figure_draws_it(tmp_path: Path) -> None:
    (tmp_path / 'a.py').touch()
    (tmp_path / 'ablations.py').write_text(
        "cells = {'x': 'a.py', 'y': 'a.py'}\n"
        "row = dict(options={'seed': 1}, cells=['x', 'y'])\n"
        "rows = {'one': row, 'two': row, 'three': row}\n"
        "figures = {'f': dict(rows=['one'], compare='two', kind='plain_points', cells=['x'])}\n"
    )
    table = Table(tmp_path / 'ablations.py')
    assert [each['name'] for each in table_stages(table, ['one'], 'x')] == ['one_x', 'one_x_test']
    stages = table_stages(table, ['one', 'two'])
    (drawn,) = (each for each in stages if each['type'] == 'show')
    assert drawn == dict(
        name='f_one_x',
        type='show',
        config='ablations.py:one:x',
        options={},
        checkpoint='{one_x}',
        kind='plain_points',
        compare=dict(config='ablations.py:two:x', options={}, checkpoint='{two_x}'),
    )
