"""Scores of kept checkpoints, and the cost of an iteration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from torch import nn

from mmseg_uda.pipeline import Pipeline, read_pipeline
from mmseg_uda.stages import cost, score

toy = toys.load_script('tests/benchmark/toy_benchmark.py')
Changes = dict[str, Any]


def pipeline(folder: Path, method: str, changes: dict[str, Changes]) -> Pipeline:
    """Training, scores and cost, with changed keys of the stages by their types."""
    folder.mkdir(exist_ok=True)
    path = folder / 'p.py'
    (folder / f'{method}.py').write_text(toy.config(folder, method))
    stages = [{**each, **changes.get(each['type'], {})} for each in toy.stages(method)]
    path.write_text(f'seed = 0\nstages = {stages!r}')
    return read_pipeline(path, work_dir=folder / 'work')


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('score')
    pipeline(folder, 'dacs', {}).run()
    return folder


def test_cost_counts_passes(trained: Path) -> None:
    """A mean teacher has two passes that learn and one that labels."""
    numbers = json.loads((trained / 'work/dacs_cost/metrics.json').read_text())
    assert (numbers['learning_passes'], numbers['labelling_passes']) == (2, 1)
    passes = 2 * numbers['learning_pass_s'] + numbers['labelling_pass_s']
    assert numbers['passes_s'] == pytest.approx(passes)
    assert numbers['ratio'] == pytest.approx(numbers['iteration_s'] / passes)
    assert not list((trained / 'work/dacs_cost').glob('*.pth'))


def test_points_that_are_there_are_not_scored_again(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = trained / 'work/dacs_score/metrics.json'
    scores = json.loads(file.read_text())
    assert list(scores) == ['2', '4']
    file.write_text(json.dumps({'2': {'mIoU': -1.0}}))
    (trained / 'work/pipeline.json').unlink()  # as if the scores had been cut off
    loaded = []
    build = score.build_runner

    def watched(cfg: Any) -> Any:
        loaded.append(Path(cfg.load_from).name)
        return build(cfg)

    monkeypatch.setattr(score, 'build_runner', watched)
    pipeline(trained, 'dacs', {}).run()
    assert loaded == ['iter_4.pth']
    again = json.loads(file.read_text())
    assert again == {'2': {'mIoU': -1.0}, '4': pytest.approx(scores['4'], nan_ok=True)}


def test_missing_checkpoint(trained: Path) -> None:
    last = trained / 'work/dacs/iter_2.pth'
    last.rename(trained / 'elsewhere.pth')
    (trained / 'work/dacs_score/metrics.json').unlink()
    (trained / 'work/pipeline.json').unlink()
    try:
        with pytest.raises(
            ValueError, match=r"stage 'dacs_score': points has 2, but there is no .*iter_2"
        ):
            pipeline(trained, 'dacs', {}).run()
    finally:
        (trained / 'elsewhere.pth').rename(last)


@pytest.mark.parametrize(
    ('points', 'training', 'kept'),
    [
        ([3, 4], {}, '2, 4'),
        ([2, 4], {'default_hooks.checkpoint.max_keep_ckpts': 1}, '4'),
        ([2, 6], {'train_cfg.max_iters': 5}, '2, 4, 5'),
        ([4], {'default_hooks.checkpoint.interval': 3}, '3'),
    ],
)
def test_points_without_a_checkpoint_are_refused_before_the_training(
    tmp_path: Path, points: list[int], training: Changes, kept: str
) -> None:
    if kept == '3':
        training['default_hooks.checkpoint.save_last'] = False
    changes = dict(score=dict(points=points), train=dict(options=training))
    with pytest.raises(
        ValueError, match=rf"but the training 'dacs' keeps the checkpoints of {kept}; write it"
    ):
        pipeline(tmp_path, 'dacs', changes)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(score=dict(points=[])), r"stage 'source_only_score': points got \[\]; write a list"),
        (dict(score=dict(points=[0])), r'points got \[0\]; write a list of iterations'),
        (
            dict(score=dict(options=dict.fromkeys(['val_cfg', 'val_dataloader', 'val_evaluator']))),
            'config has no val_dataloader; write one',
        ),
        (dict(cost=dict(repeat=0)), "stage 'source_only_cost': repeat got 0; write a number"),
    ],
)
def test_wrong_arguments(tmp_path: Path, changes: dict[str, Changes], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline(tmp_path, 'source_only', changes)


def test_a_stock_segmentor_has_one_pass() -> None:
    """Images are counted by whether they learn."""
    hook = cost._CostHook()
    hook.images = cost.Counter()
    hook._count(False, nn.Identity(), (torch.zeros(2, 3, 4, 4),))
    with torch.no_grad():
        hook._count(False, nn.Identity(), (torch.zeros(3, 3, 4, 4),))
        hook._count(True, nn.Identity(), (torch.zeros(5, 3, 4, 4),))
    assert hook.images == {'learning': 2, 'labelling': 3, 'encoding': 5}
