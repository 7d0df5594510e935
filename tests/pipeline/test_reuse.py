"""Stages that other pipelines finished are taken, not run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys

from mmseg_uda.pipeline import Pipeline, read_pipeline
from mmseg_uda.pipeline.state import State

run_toy = toys.load_script('tests/pipeline/run_toy.py')
SHORT = {'train_cfg.max_iters': 2}


def stages(*names: str) -> list[dict[str, Any]]:
    """A training, its pseudo labels, and a test, under other names."""
    first, labels, test = names
    return [
        dict(name=first, type='train', config='source.py', options=SHORT),
        dict(
            name=labels,
            type='pseudo_label',
            config='source.py',
            checkpoint=f'{{{first}}}',
            rule='bdl',
        ),
        dict(name=test, type='test', config='source.py', checkpoint=f'{{{first}}}'),
    ]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('reuse') / 'toy'
    run_toy.write_configs(folder)
    read(folder, 'one', stages('a', 'b', 'c')[:2]).run()
    return folder


def read(folder: Path, work_dir: str, given: list[dict[str, Any]], **options: Any) -> Pipeline:
    path = run_toy.write_pipeline(folder, given)
    return read_pipeline(path, options, folder.parent / work_dir)


def test_same_recipes_are_taken_under_other_names(folder: Path) -> None:
    one = folder.parent / 'one'
    pipeline = read(folder, 'two', stages('x', 'y', 'z'), reuse=str(one))
    assert [step.action for step in pipeline.plan()] == ['reuse', 'run', 'run']
    pipeline.run()
    old, new = State(one), State(folder.parent / 'two')
    assert new.stages['x'].outputs == {'output': 'x/iter_2.pth', 'best': 'x/best_mIoU_iter_2.pth'}
    assert new.stages['x'].digests == old.stages['a'].digests
    assert new.stages['y'].coverage == old.stages['b'].coverage
    assert [new.stages[name].attempts for name in 'xyz'] == [0, 0, 1]
    assert new.stages['y'].note == f'from {one / "b"}'
    report = (folder.parent / 'two/report.md').read_text()
    assert '| x | train | done |' in report
    assert 'not started' not in report
    # The other pipeline is as it was, and this one stands alone.
    assert [step.action for step in read(folder, 'one', stages('a', 'b', 'c')[:2]).plan()] == [
        'skip',
        'skip',
    ]
    assert [step.action for step in read(folder, 'two', stages('x', 'y', 'z')).plan()] == [
        'skip'
    ] * 3


def test_from_a_stage_on_it_runs_again(folder: Path) -> None:
    """Not even another pipeline's result is taken, as --from says."""
    pipeline = read(folder, 'four', stages('x', 'y', 'z'), reuse=str(folder.parent / 'one'))
    pipeline.run(end='y')
    state = folder.parent / 'four'
    assert [State(state).stages[name].attempts for name in 'xy'] == [0, 0]
    pipeline.run(start='y')
    assert [State(state).stages[name].attempts for name in 'xyz'] == [0, 1, 1]


def test_other_recipes_and_changed_outputs_are_not(folder: Path) -> None:
    one = str(folder.parent / 'one')
    pipeline = read(folder, 'three', stages('x', 'y', 'z'), reuse=[one], seed=5)
    assert [step.action for step in pipeline.plan()] == ['run'] * 3
    labels = sorted((folder.parent / 'one/b/labels').glob('*.png'))[0]
    content = labels.read_bytes()
    labels.unlink()
    labels.write_bytes(content[:-1])  # not through a link of `two`
    read(folder, 'three', stages('x', 'y', 'z'), reuse=[one]).run()
    assert [State(folder.parent / 'three').stages[name].attempts for name in 'xyz'] == [0, 1, 1]


@pytest.mark.parametrize(
    ('given', 'match'),
    [
        (3, 'reuse: expected directories of pipelines, but got 3'),
        (
            'nowhere',
            "reuse: expected directories of pipelines, but got 'nowhere'; write those",
        ),
    ],
)
def test_wrong_values(folder: Path, given: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read(folder, 'four', stages('x', 'y', 'z'), reuse=given)
