"""Validation on further sets, and the checkpoint that it chooses."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import METRICS

SIZES = dict(target=7, first=3, second=4)
METRIC = dict(type='IoUMetric')


@METRICS.register_module(force=True)
class ScriptedMetric(BaseMetric):
    """Gives one number after the other, and how many images it saw."""

    default_prefix = ''

    def __init__(self, scores: list[float], extra: str = 'extra') -> None:
        super().__init__()
        self.scores = iter(scores)
        self.extra = extra

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return dict(score=next(self.scores), images=len(results), text='x', **{self.extra: 1})


class Recorder(Hook):
    """What hooks are shown."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.batches: list[int] = []
        self.metrics: dict[int, dict[str, Any]] = {}

    def before_val(self, runner: Any) -> None:
        self.calls.append('before')

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.batches.append(batch_idx)
        assert len(runner.val_dataloader) == sum(SIZES.values())

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.calls.append('after')
        self.metrics[runner.iter] = dict(metrics)


def loader(root: Path, name: str, **changes: Any) -> dict[str, Any]:
    """A labelled set of so many images as SIZES says."""
    if not (root / name).exists():
        toys.write_domain(root, name, SIZES[name], len(name))
    dataset = toys.dataset_cfg(root, name, train=False)
    # Serialising collects garbage, which takes longer than a test.
    return dict(dataset=dict(dataset, serialize_data=False), **changes)


def selection(root: Path, **evaluators: Any) -> dict[str, Any]:
    return {
        name: dict(
            dataloader=loader(root, name),
            **(dict(evaluator=evaluators[name]) if name in evaluators else {}),
        )
        for name in ('first', 'second')
    }


def config(
    root: Path,
    tag: str,
    sets: dict[str, Any] | None = None,
    max_iters: int = 4,
    loop: dict[str, Any] | None = None,
    **changes: Any,
) -> Config:
    cfg = toys.runner_cfg(
        root, root / f'{tag}_{root.name}', toys.method_cfg('source_only'), max_iters, **changes
    )
    for part in (*cfg.train_dataloader.values(), cfg.val_dataloader):
        part.dataset.serialize_data = False
    cfg.train_cfg.update(val_interval=2, val_begin=1)
    cfg.val_cfg = dict(
        type='SelectionValLoop', mean='mean', selection=sets or selection(root), **(loop or {})
    )
    return cfg


def run(cfg: Config, mode: str = 'train') -> tuple[Runner, Recorder]:
    runner, recorder = Runner.from_cfg(cfg), Recorder()
    runner.register_hook(recorder)
    getattr(runner, mode)()
    return runner, recorder


def test_metrics_are_those_of_each_set_alone(tmp_path: Path) -> None:
    _, recorder = run(config(tmp_path, 'all'), 'val')
    (metrics,) = recorder.metrics.values()
    alone = {}
    for name in SIZES:
        cfg = config(tmp_path, name)
        cfg.val_cfg = dict(type='ValLoop')
        cfg.val_dataloader.dataset = loader(tmp_path, name)['dataset']
        alone[name] = Runner.from_cfg(cfg).val()
    assert set(metrics) == {
        f'{prefix}{key}'
        for prefix in ('', 'first/', 'second/', 'mean/')
        for key in ('aAcc', 'mIoU', 'mAcc')
    }
    for key, value in alone['target'].items():
        assert metrics[key] == value
        one, other = (alone[name][key] for name in ('first', 'second'))
        assert metrics[f'first/{key}'] == one
        assert metrics[f'second/{key}'] == other
        assert one != other
        assert metrics[f'mean/{key}'] == pytest.approx((one + other) / 2)


def test_hooks_see_one_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def log(text: str, logger: str) -> None:
        said.append(text)
        print_log(text, logger)

    monkeypatch.setattr('mmseg_uda.engine.loops.selection_val_loop.print_log', log)
    cfg = config(tmp_path, 'hooks', log_level='INFO')
    cfg.default_hooks.logger.interval = 1
    runner, recorder = run(cfg)
    total = sum(SIZES.values())
    assert recorder.calls == ['before', 'after'] * 2  # validation at 2 and 4
    assert recorder.batches == list(range(total)) * 2
    assert runner.val_dataloader.dataset.data_root.endswith('target')
    (log,) = Path(runner.log_dir).glob('*.log')
    text = log.read_text()
    assert f'Iter(val) [ 8/{total}]' in text
    assert f'Iter(val) [{total}/{total}] ' in text
    assert 'Validation on first' in text
    assert {getattr(each, 'terminal', None) for each in said} == {''}  # as tables are
    assert 'mean/mIoU: ' in text


def test_pictures_of_every_set(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'pictures')
    cfg.default_hooks.visualization = dict(type='SegVisualizationHook', draw=True, interval=1)
    cfg.visualizer = dict(
        type='SegLocalVisualizer',
        vis_backends=[dict(type='LocalVisBackend')],
        name=cfg.experiment_name,
    )
    runner, _ = run(cfg, 'val')
    pictures = list(Path(runner.log_dir).rglob('*.png'))
    # mmseg 1.2.2 stores the pictures of one validation under one step: equal names are replaced.
    by_step = 'step=total_curr_iter' in inspect.getsource(SegVisualizationHook.after_val_iter)
    assert len(pictures) == (sum(SIZES.values()) if by_step else max(SIZES.values()))


SCRIPTS = dict(target=[9, 0, 0, 0], first=[1, 6, 5, 0], second=[1, 1, 4, 6])  # mean: 1 3.5 4.5 3


@pytest.mark.parametrize(
    ('key', 'best', 'score'),
    [('score', 2, 9), ('first/score', 4, 6), ('mean/score', 6, 4.5), ('second/score', 8, 6)],
)
def test_best_checkpoint(tmp_path: Path, key: str, best: int, score: float) -> None:
    scripts = {name: dict(type='ScriptedMetric', scores=scores) for name, scores in SCRIPTS.items()}
    cfg = config(
        tmp_path, 'best', selection(tmp_path, **scripts), 8, val_evaluator=scripts['target']
    )
    cfg.default_hooks.checkpoint.update(save_best=key, rule='greater', interval=100)
    runner, recorder = run(cfg)
    (path,) = Path(cfg.work_dir).glob('best_*')
    assert path.name == f'best_{key.replace("/", "_")}_iter_{best}.pth'
    assert runner.message_hub.get_info('best_score') == score
    assert [m[key] for m in recorder.metrics.values()][best // 2 - 1] == score


def test_every_set_has_its_own_evaluator(tmp_path: Path) -> None:
    """Each sees its own images; the mean is of what all selection sets count."""
    scripts = dict(
        first=dict(type='ScriptedMetric', scores=[1.0], extra='only'),
        second=[dict(type='ScriptedMetric', scores=[3.0]), METRIC],
    )
    _, recorder = run(config(tmp_path, 'own', selection(tmp_path, **scripts)), 'val')
    (metrics,) = recorder.metrics.values()
    assert metrics['first/images'] == SIZES['first']
    assert metrics['second/images'] == SIZES['second']
    assert metrics['first/text'] == 'x'
    assert {key: value for key, value in metrics.items() if key.startswith('mean/')} == {
        'mean/score': 2.0,
        'mean/images': (SIZES['first'] + SIZES['second']) / 2,
    }


def test_no_mean(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'none')
    cfg.val_cfg.pop('mean')
    _, recorder = run(cfg, 'val')
    (metrics,) = recorder.metrics.values()
    assert len(metrics) == 9
    assert not any('mean' in key for key in metrics)


def test_without_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ground truth is not there, its data set is not built, and the rest is the same."""
    _, both = run(config(tmp_path, 'both'))
    for path in (tmp_path / 'target/labels').iterdir():
        path.unlink()
    monkeypatch.setitem(SIZES, 'target', 0)
    cfg = config(tmp_path, 'without', loop=dict(validate_target=False))
    cfg.train_dataloader.target.dataset.data_prefix.pop('seg_map_path')
    cfg.val_dataloader.dataset.update(type='NoSuchDataset', data_root=str(tmp_path / 'nowhere'))
    runner, alone = run(cfg)
    for step, metrics in alone.metrics.items():
        assert metrics == {key: both.metrics[step][key] for key in both.metrics[step] if '/' in key}
        assert len(metrics) == 9
    assert runner.val_dataloader.dataset.data_root.endswith('first')
    assert runner.visualizer.dataset_meta['classes'] == toys.METAINFO['classes']


def test_resumed_run_chooses_the_same(tmp_path: Path) -> None:
    def chosen(tag: str, max_iters: int, **changes: Any) -> tuple[Any, ...]:
        cfg = config(tmp_path, tag, max_iters=max_iters, **changes)
        cfg.train_cfg.val_interval = 3
        cfg.default_hooks.checkpoint.update(save_best='mean/mIoU', rule='greater', interval=3)
        cfg.optim_wrapper.optimizers.student.optimizer.lr = 0.5
        runner, recorder = run(cfg)
        (path,) = Path(cfg.work_dir).glob('best_*')
        return path.name, runner.message_hub.get_info('best_score'), recorder.metrics

    name, score, metrics = chosen('whole', 9)
    chosen('cut', 6)
    again, same, rest = chosen('cut', 9, resume=True)
    assert (again, same) == (name, score)
    assert rest == {step: metrics[step] for step in (9,)}
    assert score == max(value['mean/mIoU'] for value in metrics.values())


def test_validation_begins_late(tmp_path: Path) -> None:
    cfg = config(tmp_path, 'late', max_iters=8)
    cfg.train_cfg.val_begin = 5
    _, recorder = run(cfg)
    assert list(recorder.metrics) == [6, 8]


def test_half_precision_and_loader_options_arrive(tmp_path: Path) -> None:
    sets = dict(first=dict(dataloader=loader(tmp_path, 'first', batch_size=2, num_workers=1)))
    runner = Runner.from_cfg(config(tmp_path, 'options', sets, loop=dict(fp16=True)))
    loop = runner.build_val_loop(runner._val_loop)
    assert loop.fp16
    (built, _) = loop.dataloader.sets['first']
    assert (built.batch_size, built.num_workers) == (2, 1)
    assert [
        Path(path).stem
        for batch in built
        for path in (sample.img_path for sample in batch['data_samples'])
    ] == ['0', '1', '2']


def test_sets_that_are_built_already(tmp_path: Path) -> None:
    runner = Runner.from_cfg(config(tmp_path, 'built'))
    parts = dict(
        dataloader=runner.build_dataloader(
            dict(loader(tmp_path, 'first'), batch_size=1, sampler=dict(type='DefaultSampler'))
        )
    )
    evaluator = runner.build_evaluator(METRIC)
    cfg = dict(runner._val_loop, selection=dict(first=parts))
    runner._val_evaluator = evaluator
    with pytest.raises(ValueError, match=r'selection\.first\.evaluator: .* but got none; write'):
        runner.build_val_loop(cfg)
    cfg['selection']['first']['evaluator'] = runner.build_evaluator(METRIC)
    runner._val_loop = runner.build_val_loop(cfg)
    assert runner.val_loop.run().keys() >= {'mIoU', 'first/mIoU', 'mean/mIoU'}


@pytest.mark.parametrize(
    ('changes', 'error', 'match'),
    [
        (
            dict(selection={}),
            ValueError,
            r'selection: expected at least one set, but got none; write',
        ),
        (
            dict(selection=[1]),
            TypeError,
            r'selection: expected a dict of .*got \[1\]; write dict\(',
        ),
        (dict(selection=dict(a=1)), TypeError, r"selection: .*got {'a': 1}; write dict"),
        (
            dict(selection=dict(a=dict())),
            ValueError,
            r'selection\.a: expected the keys .*got \[\]',
        ),
        (
            dict(selection=dict(a=dict(dataloader={}, evaluators=1))),
            ValueError,
            r"selection\.a: expected the keys .*, but got \['dataloader', 'evaluators'\]",
        ),
        (
            dict(selection={'a/b': dict(dataloader={})}),
            ValueError,
            r"selection: expected a name.*got 'a/b'",
        ),
        (
            dict(selection={'': dict(dataloader={})}),
            ValueError,
            r"selection: expected a name.*got ''",
        ),
        (dict(mean='a/b'), ValueError, r"mean: expected a name without.*got 'a/b'"),
        (dict(mean='first'), ValueError, r"mean: expected a name that no set has, but got 'first'"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], match: str
) -> None:
    runner = Runner.from_cfg(config(tmp_path, 'wrong'))
    with pytest.raises(error, match=rf'SelectionValLoop\.{match}'):
        runner.build_val_loop({**runner._val_loop, **changes})


def test_wrong_sets(tmp_path: Path) -> None:
    runner = Runner.from_cfg(config(tmp_path, 'wrong'))
    for changes, match in (
        (
            dict(data_root=str(tmp_path / 'nothing')),
            r'val_cfg\.selection\.first\.dataloader\.dataset\.data_prefix.* got .*nothing',
        ),
        (
            dict(metainfo=dict(classes=('a', 'b'), palette=[[0] * 3] * 2)),
            r'selection\.first: expected the 4 classes of the target, .*, but got the 2 classes',
        ),
    ):
        cfg = selection(tmp_path)
        cfg['first']['dataloader']['dataset'].update(changes)
        with pytest.raises(ValueError, match=match):
            runner.build_val_loop({**runner._val_loop, 'selection': cfg})
    for path in (tmp_path / 'first/labels').iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r'selection\.first\.dataloader\.dataset lists .*labels'):
        runner.build_val_loop(runner._val_loop)


def _process(rank: int, root: Path) -> None:
    torch.set_num_threads(1)
    meeting = f'file://{root}/meeting'
    torch.distributed.init_process_group('gloo', meeting, rank=rank, world_size=2)
    metrics = Runner.from_cfg(config(root, f'two{rank}')).val()
    torch.save({key: float(value) for key, value in metrics.items()}, root / f'{rank}.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Sets of odd sizes, so that the sampler pads."""
    one = Runner.from_cfg(config(tmp_path, 'one')).val()
    torch.multiprocessing.start_processes(_process, (tmp_path,), nprocs=2, start_method='fork')
    for rank in range(2):
        assert torch.load(tmp_path / f'{rank}.pth', weights_only=True) == one


def teacher_config(root: Path, method: str, **method_changes: Any) -> Config:
    first = dict(
        dataloader=loader(root, 'first', batch_size=2),
        evaluator=[METRIC, dict(type='LabelFreeMetric', pixels=10_000)],
        with_teacher=True,
    )
    cfg = config(root, method, dict(first=first))
    cfg.model = toys.method_cfg(method, **method_changes)
    return cfg


@pytest.mark.parametrize('eval_on', ['student', 'teacher'])
def test_agreement_with_the_teacher(tmp_path: Path, eval_on: str) -> None:
    """The other network adds a score, and changes no other one."""
    runner = Runner.from_cfg(teacher_config(tmp_path, 'mean_teacher', eval_on=eval_on))
    before = runner.val()
    assert before.pop('first/teacher_agreement') == 1  # the teacher begins as a copy
    model = runner.model
    other = model.teacher.module if eval_on == 'student' else model.student
    for branch in other.decode_head.branches:
        branch.bias.data[0] += 100  # it predicts class 0 everywhere
    after = runner.val()
    batches, _ = runner.val_loop.dataloader.sets['first']
    labels = [each.pred_sem_seg.data for batch in batches for each in model.val_step(batch)]
    share = torch.cat(labels).eq(0).float().mean().item()
    assert 0 < share < 1
    assert after.pop('first/teacher_agreement') == pytest.approx(share)
    assert {key: after[key] for key in before if 'mean' not in key} == {
        key: value for key, value in before.items() if 'mean' not in key
    }
    assert model.eval_on == eval_on


def test_agreement_without_a_teacher(tmp_path: Path) -> None:
    cfg = teacher_config(tmp_path, 'source_only')
    message = 'first.with_teacher: expected a mean teacher, but got SourceOnly, which has none'
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(cfg).val()
