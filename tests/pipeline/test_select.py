"""Checkpoints that labels of the target choose, and what is said about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toys

from mmseg_uda.pipeline import Pipeline, read_pipeline
from mmseg_uda.pipeline.state import State

run_toy = toys.load_script('tests/pipeline/run_toy.py')
BEST = 'default_hooks.checkpoint.save_best'
STAGES: list[dict[str, Any]] = [
    dict(name='train', type='train', config='source.py', options={BEST: None}),
    dict(name='test', type='test', config='source.py', checkpoint='{train}'),
]
SELECTED = 'selected with target labels'


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('select') / 'toy'
    run_toy.write_configs(folder)
    return folder


def read(folder: Path, stages: list[dict[str, Any]] = STAGES, **values: Any) -> Pipeline:
    path = run_toy.write_pipeline(folder, stages, **values)
    return read_pipeline(path, work_dir=folder.parent / 'work')


def test_best_checkpoint_is_taken_and_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter((1.0, 3.0, 2.0, 7.0))  # after 2, 4 and 6 iterations; the test
    monkeypatch.setattr('mmengine.evaluator.Evaluator.evaluate', lambda *_: {'mIoU': next(scores)})
    pipeline = read(folder, select='target_labels')
    pipeline.run()
    work_dir = pipeline.context.work_dir
    assert State(work_dir).stages['train'].outputs == {
        'output': 'train/best_mIoU_iter_4.pth',
        'best': 'train/best_mIoU_iter_4.pth',
    }
    # A training's numbers are those of its last validation, which nothing chose.
    report = (work_dir / 'report.md').read_text().splitlines()
    assert f'| metric | train | test ({SELECTED}) |' in report
    assert '| mIoU | 2 | 7 |' in report
    (log,) = (path.read_text() for path in (work_dir / 'train').glob('2*/2*.log'))
    assert f'CheckpointHook.save_best: the best checkpoint is {SELECTED}, by mIoU of' in log
    # The last checkpoint is the default; nothing of one choice is kept for the other.
    assert [step.action for step in pipeline.plan()] == ['skip', 'skip']
    assert [step.action for step in read(folder).plan()] == ['replace', 'run']


def test_last_checkpoint_is_the_default(folder: Path) -> None:
    pipeline = read(folder)
    assert pipeline.context.select == 'last'
    assert list(pipeline.stages['train'].parts()) == ['output']
    assert not pipeline.selected
    best = [dict(STAGES[0], options={}), STAGES[1], dict(STAGES[1], name='best')]
    best[2]['checkpoint'] = '{train.best}'
    assert read(folder, best).selected == {'best'}  # the config's own save_best


def test_choice_without_labels_of_the_target_stays(folder: Path) -> None:
    """As in DAST, which chooses on translated images of the source."""
    loader = dict(dataset=toys.dataset_cfg(folder.parent / 'data', 'source'))
    options = {
        BEST: 'translated/mIoU',
        'val_cfg': dict(
            _delete_=True,
            type='SelectionValLoop',
            selection={'translated': dict(dataloader=loader)},
        ),
    }
    stages = [
        dict(STAGES[0], options=options),
        dict(STAGES[1], checkpoint='{train.best}'),
        dict(STAGES[0], name='next', options={BEST: None, 'load_from': '{train.best}'}),
        dict(STAGES[1], name='last', checkpoint='{next}'),
    ]
    pipeline = read(folder, stages, select='target_labels')
    assert pipeline.stages['train'].load().default_hooks.checkpoint.save_best == 'translated/mIoU'
    assert pipeline.selected == {'last'}


def test_metric(folder: Path) -> None:
    stages = [dict(STAGES[0], metric='aAcc'), STAGES[1]]
    pipeline = read(folder, stages, select='target_labels')
    hook = pipeline.stages['train'].load().default_hooks.checkpoint
    assert (hook.save_best, hook.rule) == ('aAcc', 'greater')
    assert read(folder, stages).stages['train'].load().default_hooks.checkpoint.save_best is None


def test_all_that_follows_is_selected(folder: Path) -> None:
    stages = [
        dict(STAGES[0]),
        dict(name='labels', type='pseudo_label', config='source.py', checkpoint='{train}'),
        dict(
            name='student',
            type='train',
            config='self.py',
            options={run_toy.PSEUDO_DIR: '{labels}'},
        ),
    ]
    assert read(folder, stages, select='target_labels').selected == {'labels', 'student'}


def test_errors(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"select: expected one of .'last', 'target_labels'., but"):
        read(folder, select='best')
    never = {BEST: None, 'train_cfg.val_begin': 100}
    pipeline = read(folder, [dict(STAGES[0], options=never)], select='target_labels')
    with pytest.raises(ValueError, match="stage 'train': config ended its training without a best"):
        pipeline.run()
