"""Whole pipelines: cut off everywhere, changed, in two processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import toys
from filelock import FileLock
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.evaluation import IoUMetric
from torch.testing import assert_close

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.artifacts.storage import AtomicBackend
from mmseg_uda.engine.loops import UDATrainLoop, pseudo_label_loop
from mmseg_uda.pipeline import Pipeline, read_pipeline
from mmseg_uda.pipeline.state import State
from mmseg_uda.stages.export import segmentor
from mmseg_uda.utils import work_dir

run_toy = toys.load_script('tests/pipeline/run_toy.py')
NAMES = [stage['name'] for stage in run_toy.STAGES]


class StopError(Exception):
    pass


def start(config: Path, work_dir: Path, *options: Any) -> subprocess.Popen[str]:
    """The toy pipeline in a process of its own."""
    path = os.pathsep.join(
        [str(toys.ROOT), str(toys.ROOT / 'tests'), os.environ.get('PYTHONPATH', '')]
    )
    return subprocess.Popen(
        [sys.executable, run_toy.__file__, str(config), str(work_dir), *map(str, options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1'),
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configs and data; processes that run beside the tests: one killed, a pair."""
    folder = tmp_path_factory.mktemp('pipelines')
    run_toy.write_configs(folder / 'configs')
    return folder


@pytest.fixture(scope='module')
def config(folder: Path) -> Path:
    return folder / 'configs' / 'toy_pipeline.py'


@pytest.fixture(scope='module', autouse=True)
def processes(folder: Path, config: Path) -> Iterator[dict[str, list[Any]]]:
    run_toy.write_configs(folder / 'half', run_toy.SHORT, batch_size=1)
    pair = [
        start(folder / 'half' / 'toy_pipeline.py', folder / 'pair', '--rank', rank)
        for rank in range(2)
    ]
    running = {
        'killed': [start(config, folder / 'killed', '--kill', 'generation1', 5)],
        'pair': pair,
    }
    yield running
    for process in running['killed'] + running['pair']:
        process.kill()


@pytest.fixture(scope='module')
def straight(folder: Path, config: Path) -> Path:
    """Folder of a pipeline that ran through."""
    read_pipeline(config, work_dir=folder / 'straight').run()
    return folder / 'straight'


def attempts(work_dir: Path) -> dict[str, int]:
    return {name: entry.attempts for name, entry in State(work_dir).stages.items()}


def actions(pipeline: Pipeline, **options: Any) -> dict[str, str]:
    return {step.stage: step.action for step in pipeline.plan(**options)}


def assert_same_results(one: Path, other: Path) -> None:
    """Weights, labels and metrics, bit by bit."""
    entries, others = State(one).stages, State(other).stages
    for name, entry in entries.items():
        assert entry.status == others[name].status == 'done'
        assert entry.outputs == others[name].outputs, name
        assert entry.metrics == others[name].metrics, name
        assert entry.coverage == others[name].coverage, name
        for path in entry.outputs.values():
            if path.endswith('.pth'):
                states = (load_checkpoint(root / path)['state_dict'] for root in (one, other))
                assert_close(*states, atol=0, rtol=0)
    labels = sorted(path.relative_to(one) for path in one.glob('labels*/labels/*.png'))
    assert len(labels) == 14
    for path in labels:
        assert (one / path).read_bytes() == (other / path).read_bytes()


def fail_at(
    patch: pytest.MonkeyPatch,
    stage: str,
    owner: Any,
    name: str,
    call: int,
    before: Callable[..., None] | None = None,
    error: type[BaseException] = StopError,
) -> None:
    """Make the n-th call that a stage makes of something fail."""
    original, execute = getattr(owner, name), Pipeline._execute
    running, calls = [''], []

    def note(self: Pipeline, stage: str, *args: Any) -> None:
        running[0] = stage
        execute(self, stage, *args)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if running[0] == stage:
            calls.append(0)
            if len(calls) == call:
                if before is not None:
                    before(*args)
                raise error(f'stopped in {stage}')
        return original(*args, **kwargs)

    patch.setattr(Pipeline, '_execute', note)
    patch.setattr(owner, name, wrapped)


def half_a_file(*args: Any) -> None:
    """What a killed process leaves of a checkpoint, given to mmengine's backend."""
    Path(args[2]).write_bytes(args[1][: len(args[1]) // 2])


STOPS: list[tuple[Any, ...]] = [
    ('stage0', IoUMetric, 'process', 3),  # in the validation of iteration 2
    ('stage0', AtomicBackend, 'put', 1, half_a_file),  # in the checkpoint of iteration 4
    ('labels1', pseudo_label_loop, 'write_label', 4),  # between images
    ('generation1', UDATrainLoop, 'run_iter', 4),
    ('labels2', pseudo_label_loop, 'segment_probabilities', 3),  # before there are thresholds
    ('generation2', State, 'finish', 1, None, KeyboardInterrupt),  # after its last checkpoint
    ('test0', CheckpointLoader, 'load_checkpoint', 1),
    ('test', IoUMetric, 'process', 3),
    ('export', segmentor, 'write_torch', 1),
]


def test_cut_off_in_every_stage(
    straight: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = read_pipeline(config, work_dir=tmp_path / 'cut')
    for stage, owner, name, *rest in STOPS:
        error = rest[2] if len(rest) == 3 else StopError
        with monkeypatch.context() as patch:
            fail_at(patch, stage, owner, name, *rest)
            with pytest.raises(error, match=f'stopped in {stage}'):
                pipeline.run()
        entry = State(tmp_path / 'cut').stages[stage]
        assert entry.status == ('failed' if error is StopError else 'interrupted')
        assert entry.error == f'{error.__name__}: stopped in {stage}'
        report = (tmp_path / 'cut' / 'report.md').read_text()
        assert f'- `{stage}`: {entry.error}' in report
    assert actions(pipeline) == dict.fromkeys(NAMES[:-1], 'skip') | {'export': 'resume'}
    pipeline.run()
    assert_same_results(straight, tmp_path / 'cut')
    assert attempts(tmp_path / 'cut') == dict.fromkeys(NAMES, 2) | {'stage0': 3}
    assert not (tmp_path / 'cut' / 'replaced').exists()
    assert attempts(straight) == dict.fromkeys(NAMES, 1)


def test_stages_do_not_see_each_other(straight: Path, tmp_path: Path, config: Path) -> None:
    """Generation 2 alone, after others that are skipped, is what it was after them."""
    shutil.copytree(straight, tmp_path / 'moved')  # a pipeline's folder can be moved
    shutil.rmtree(tmp_path / 'moved' / 'generation2')
    pipeline = read_pipeline(config, work_dir=tmp_path / 'moved')
    assert actions(pipeline) == dict.fromkeys(NAMES, 'skip') | dict.fromkeys(
        ('generation2', 'test', 'export'), 'run'
    ) | {'generation2': 'replace'}
    pipeline.run()
    assert_same_results(straight, tmp_path / 'moved')
    logs = {name: list((straight / name).glob('*/vis_data/config.py')) for name in NAMES}
    assert all(len(found) == 1 for name, found in logs.items() if name != 'export')


def test_changed_option_runs_what_depends_on_it(
    straight: Path, tmp_path: Path, config: Path
) -> None:
    shutil.copytree(straight, tmp_path / 'changed')
    options = {'stages.generation1.options.optim_wrapper.optimizers.student.optimizer.lr': 0.01}
    pipeline = read_pipeline(config, options, tmp_path / 'changed')
    plan = {step.stage: step for step in pipeline.plan()}
    assert plan['generation1'].action == 'replace'
    assert plan['generation1'].reason == (
        'changed: config.optim_wrapper.optimizers.student.optimizer.lr: 0.05 -> 0.01'
    )
    assert plan['labels2'].reason == "needs 'generation1', which runs first"
    pipeline.run()
    changed = ['generation1', 'labels2', 'generation2', 'test', 'export']
    replaced = tmp_path / 'changed' / 'replaced'
    assert sorted(path.name for path in replaced.iterdir()) == sorted(
        f'{name}-1' for name in changed
    )
    for name in NAMES:
        one, other = (State(root).stages[name] for root in (straight, tmp_path / 'changed'))
        assert (one.digest == other.digest) == (name not in changed)
    path = 'generation1/iter_6.pth'
    old, new = (
        load_checkpoint(root / path)['state_dict'] for root in (straight, tmp_path / 'changed')
    )
    assert any(not torch.equal(old[key], new[key]) for key in old)
    kept = load_checkpoint(replaced / 'generation1-1' / 'iter_6.pth')['state_dict']
    assert_close(kept, old, atol=0, rtol=0)


def test_killed_before_the_first_file_was_whole(config: Path, tmp_path: Path) -> None:
    (tmp_path / 'stage0').mkdir()
    (tmp_path / 'stage0' / f'recipe.json.{"0" * 16}.tmp').write_text('{')
    first, *_ = read_pipeline(config, work_dir=tmp_path).plan()
    assert (first.action, first.reason) == ('run', 'it is not done')
    (tmp_path / 'stage0' / 'mine').touch()
    first, *_ = read_pipeline(config, work_dir=tmp_path).plan()
    assert (first.action, first.reason) == ('replace', 'its directory has no recipe.json')


def test_plan_sees_what_changed(straight: Path, config: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / 'run')

    def plan(options: dict[str, Any] | None = None) -> dict[str, str]:
        steps = read_pipeline(config, options, tmp_path / 'run').plan()
        return {step.stage: step.reason for step in steps if step.action != 'skip'}

    assert plan() == {}
    assert plan({'stages.test.options.test_evaluator.iou_metrics': ['mDice']}) == {
        'test': "changed: config.test_evaluator.iou_metrics: None -> ['mDice']"
    }
    assert plan({'stages.export.module': 'student.backbone'}) == {
        'export': "changed: arguments.module: None -> 'student.backbone'"
    }
    assert (
        plan({'stages.test.options.log_level': 'INFO', 'stages.labels2.options.train_cfg': {}})
        == {}
    )  # what does not touch the result
    assert 'needs' in plan({'stages.labels2.rule': 'cbst'})['test']
    assert list(plan({'seed': 2})) == NAMES
    label = tmp_path / 'run/labels2/labels/3.png'
    label.unlink()
    assert plan()['labels2'] == 'its output labels2/labels is gone or was changed'
    shutil.copy(straight / 'labels2/labels/3.png', label)
    best = tmp_path / 'run' / State(straight).stages['stage0'].outputs['best']
    best.write_bytes(best.read_bytes() + b'x')
    assert list(plan()) == NAMES
    assert 'was changed' in plan()['stage0']


def test_changed_data(straight: Path, config: Path, folder: Path) -> None:
    image = folder / 'data/source/images/4.png'
    content = image.read_bytes()
    image.write_bytes(content + b'x')
    try:
        pipeline = read_pipeline(config, work_dir=straight)
        step = pipeline.plan()[0]
        assert 'changed: inputs.train_dataloader.source.dataset' in step.reason
    finally:
        image.write_bytes(content)
    assert set(actions(pipeline).values()) == {'skip'}


def test_from_a_stage_on(straight: Path, config: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / 'run')
    pipeline = read_pipeline(config, work_dir=tmp_path / 'run')
    assert actions(pipeline, start='test') == dict.fromkeys(NAMES, 'skip') | {
        'test': 'replace',
        'export': 'replace',
    }
    pipeline.run('test')
    assert_same_results(straight, tmp_path / 'run')
    assert sorted(path.name for path in (tmp_path / 'run/replaced').iterdir()) == [
        'export-1',
        'test-1',
    ]
    with pytest.raises(ValueError, match='--from: expected a stage, but got tset; write test'):
        pipeline.run('tset')
    shutil.rmtree(tmp_path / 'run' / 'labels1')
    with pytest.raises(ValueError, match="stage 'labels1' before it is not done .its output"):
        pipeline.run('generation1')


def test_until_a_stage(config: Path, tmp_path: Path) -> None:
    pipeline = read_pipeline(config, work_dir=tmp_path / 'run')
    first = next(iter(pipeline.stages))
    assert [plan.stage for plan in pipeline.plan(end=first)] == [first]
    report = tmp_path / 'run/report.md'
    report.parent.mkdir()
    report.write_text('mine')
    pipeline.run(end=first)
    pipeline.run(end=first)
    assert [path.name for path in sorted(report.parent.glob('report.md*'))] == [
        'report.md',
        'report.md.old-1',
    ]
    assert (report.parent / 'report.md.old-1').read_text() == 'mine'
    assert list(State(tmp_path / 'run').stages) == [first]
    log = (tmp_path / 'run/pipeline.log').read_text()
    assert f'all 1 stages are done, see {tmp_path}/run/report.md; ' in log
    assert f'; {len(pipeline.stages) - 1} after --until are left' in log
    with pytest.raises(ValueError, match=f'--until: expected a stage, but got {first}x; write'):
        pipeline.run(end=f'{first}x')
    second = list(pipeline.stages)[1]
    with pytest.raises(ValueError, match=f"--until: expected a stage from '{second}' on"):
        pipeline.run(start=second, end=first)
    assert not (tmp_path / 'run/replaced').exists()


def test_one_start_at_a_time(straight: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_dir, 'LOCK_TIMEOUT', 0)
    with (
        FileLock(straight / 'pipeline.lock'),
        pytest.raises(RuntimeError, match='straight: a pipeline runs in this directory; wait'),
    ):
        read_pipeline(config, work_dir=straight).run()
    read_pipeline(config, work_dir=straight).run()


def test_report(straight: Path) -> None:
    report = (straight / 'report.md').read_text().splitlines()
    assert '| stage0 | train | done | 0:00:' in '\n'.join(report)
    entry = State(straight).stages['labels1']
    assert set(entry.coverage) == set('abcd')
    predicted, kept = (sum(counts) for counts in zip(*entry.coverage.values()))
    assert predicted == 7 * toys.SIZE[0] * toys.SIZE[1]
    assert entry.metrics == {'kept pixels (%)': pytest.approx(100 * kept / predicted)}
    rows = [line for line in report if line.startswith('| mIoU')]
    metrics = json.loads((straight / 'test/metrics.json').read_text())
    assert rows[0].split(' | ')[-1].strip(' |') == f'{metrics["mIoU"]:.4g}'
    logs = (straight / 'pipeline.log').read_text()
    assert '[3/8] generation1: run, it is not done' in logs


def test_killed_process(
    processes: dict[str, list[Any]], straight: Path, config: Path, folder: Path
) -> None:
    _, errors = processes['killed'][0].communicate(timeout=400)
    assert processes['killed'][0].returncode == -signal.SIGKILL, errors[-2000:]
    entry = State(folder / 'killed').stages['generation1']
    assert (entry.status, entry.seconds) == ('running', 0)
    assert 'generation2' not in State(folder / 'killed').stages
    read_pipeline(config, work_dir=folder / 'killed').run()
    assert_same_results(straight, folder / 'killed')
    assert attempts(folder / 'killed') == dict.fromkeys(NAMES, 1) | {'generation1': 2}
    second = State(folder / 'killed').stages['generation1']
    last = max(
        path.stat().st_mtime
        for path in (folder / 'killed/generation1').iterdir()
        if path.name in ('iter_2.pth', 'iter_4.pth')
    )
    assert second.seconds >= last - entry.started > 0  # the first attempt counts


def test_two_processes_are_as_one(processes: dict[str, list[Any]], folder: Path) -> None:
    for process in processes['pair']:
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors[-2000:]
    config = run_toy.write_configs(folder / 'whole', run_toy.SHORT)
    read_pipeline(config, work_dir=folder / 'one').run()
    for name in ('stage0', 'generation1'):
        one, pair = (
            load_checkpoint(folder / run / name / 'iter_6.pth')['state_dict']
            for run in ('one', 'pair')
        )
        assert_close(pair, one, atol=1e-5, rtol=0)
    one, pair = (State(folder / run).stages for run in ('one', 'pair'))
    assert {entry.processes for entry in pair.values()} == {2}
    for label in (folder / 'one').glob('labels1/labels/*.png'):
        alone, by_two = (
            cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            for path in (label, folder / 'pair/labels1/labels' / label.name)
        )
        assert (alone != by_two).mean() < 1e-3
        assert alone.max() < toys.NUM_CLASSES
