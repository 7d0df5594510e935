"""Pipelines that take the stages of other pipelines' cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_files import FOLDER

from mmseg_uda.pipeline import read_pipeline
from mmseg_uda.pipeline.joined import join_cells
from mmseg_uda.pipeline.translated import IMAGES

BASE = dict(name='base', type='train', config='base.py')
TEST = dict(name='test', type='test', config='base.py', checkpoint='{base}')
LATER = dict(name='later', type='train', config='sub/later.py', options={'load_from': '{base}'})
SHOWN = dict(
    name='shown', type='show', config='base.py', compare=dict(config='base.py', checkpoint='{base}')
)
OTHER = dict(BASE, config='another.py')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pipeline beside a directory with one of several cells."""
    cells = dict(first=[BASE, TEST], second=[BASE, LATER], shown=[SHOWN], differs=[OTHER])
    write(tmp_path / 'many/many_pipeline.py', cells=cells)
    (tmp_path / 'own').mkdir()
    return tmp_path / 'own/own_pipeline.py'


def write(path: Path, **content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(''.join(f'{name} = {value!r}\n' for name, value in content.items()))


def moved(stage: dict[str, Any]) -> dict[str, Any]:
    return {**stage, 'config': f'../many/{stage["config"]}'}


def test_cells_and_stages_of_its_own(path: Path) -> None:
    """A common stage runs once, and configs are relative to the pipeline that takes them."""
    own = dict(name='own', type='train', config='own.py')
    file = '../many/many_pipeline.py'
    stages = join_cells([f'{file}:first', own, f'{file}:second'], path)
    assert stages == [moved(BASE), moved(TEST), own, moved(LATER)]
    (shown,) = join_cells([f'{file}:shown'], path)
    assert (shown['config'], shown['compare']['config']) == ('../many/base.py',) * 2
    assert join_cells([own], path) == [own]


def test_a_cell_that_takes_another(path: Path) -> None:
    """Configs keep their places over two files, and so do stages that are taken twice."""
    write(path, cells=dict(both=['../many/many_pipeline.py:first', LATER]))
    last = path.parent / 'last_pipeline.py'
    stages = join_cells(['own_pipeline.py:both', '../many/many_pipeline.py:first'], last)
    assert stages == [moved(BASE), moved(TEST), LATER]


def test_translated_source_of_the_other_pipeline(path: Path) -> None:
    write(
        path.parents[1] / 'many/many_pipeline.py', cells=dict(a=[BASE]), translated='{made}/images'
    )
    (stage,) = join_cells(['../many/many_pipeline.py:a'], path)
    assert stage['options'] == {IMAGES: '{made}/images'}


@pytest.mark.parametrize(
    ('stages', 'match'),
    [
        (['many_pipeline.py'], r"stages\[0\] got 'many_pipeline.py'; write dict.* or 'FILE:CELL'"),
        ([BASE, ':first'], r"stages\[1\] got ':first'; write dict"),
        (
            ['../many/many_pipeline.py:frist'],
            'many_pipeline.py: expected a cell, but got frist; write f',
        ),
        (['no.py:first'], r'own_pipeline.py: stages: no config file .*no.py'),
        (['bad.py:nameless'], "bad.py: cells.nameless got {'type': 'train'}; write"),
        (['bad.py:number'], 'bad.py: cells.number got 3; write'),
        (['bad.py:numbers'], 'bad.py: cells.numbers got 3; write'),
        (['plain.py:first'], 'stages: expected a pipeline with cells, but got .*plain.py'),
        (
            ['../many/many_pipeline.py:first', '../many/many_pipeline.py:differs'],
            "one stage 'base', but .*:first and .*:differs have different ones; write",
        ),
    ],
)
def test_refused(path: Path, stages: list[Any], match: str) -> None:
    write(path.parent / 'plain.py', stages=[BASE])
    bad = dict(nameless=[dict(type='train')], number=3, numbers=[3])
    write(path.parent / 'bad.py', cells=bad)
    write(path, stages=stages)
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        read_pipeline(path, check=False)


def test_cell_that_contains_itself(path: Path) -> None:
    write(path, cells=dict(a=['own_pipeline.py:b'], b=['../own/own_pipeline.py:a']))
    with pytest.raises(
        ValueError, match='stages: expected other cells, but own_pipeline.py:b cont'
    ):
        read_pipeline(path, cell='a', check=False)


def test_no_list_is_left_to_the_reader(path: Path) -> None:
    write(path, stages='../many/many_pipeline.py:first')
    with pytest.raises(ValueError, match='stages got'):
        read_pipeline(path, check=False)


@pytest.mark.parametrize('pair', ['day', 'dusk'])
def test_worth_of_labels_on_a_small_pair(pair: str) -> None:
    """The steps of docs/value.md are those of the benchmark, whose results it takes by `reuse`."""
    pipeline = read_pipeline(FOLDER / 'value/value_pipeline.py', cell=f'small-{pair}', check=False)
    names = [*pipeline.stages]
    numbers = [5, 20, 60, 80] if pair == 'day' else [5, 20, 60]
    trained = [stage.name for stage in pipeline.stages.values() if stage.kind == 'train']
    few = [f'dacs_{number}' for number in numbers]
    assert trained == ['source_only', 'dacs_rcs_continued', 'dacs', *few, 'all_labels']
    assert names[:4] == ['source_only', 'source_only_score', 'source_only_cost', 'adabn_score']
    cell = read_pipeline(FOLDER / 'benchmarks/small_real.py', cell=f'{pair}-dacs_20', check=False)
    options = [each.stages['dacs_20'].arguments['options'] for each in (pipeline, cell)]
    assert options[0] == options[1]
