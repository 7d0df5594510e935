"""A teacher follows its student's steps through a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import toys
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS, MODELS
from torch import Tensor, nn
from torch.testing import assert_close

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.engine.hooks import EMATeacherHook

TEACHER = dict(type='EMATeacherHook')


@HOOKS.register_module(force=True)
class _TeacherSpy(Hook):
    """Notes what there is in each iteration, before the teacher follows the student."""

    priority = 'HIGH'

    def __init__(self) -> None:
        self.students: list[dict[str, Tensor]] = []
        self.modes: list[tuple[str, set[bool]]] = []
        self.iterations: list[int] = []

    def _note(self, stage: str, runner: Runner) -> None:
        teacher = runner.model.teacher.module
        self.modes.append((stage, {module.training for module in teacher.modules()}))

    def before_train(self, runner: Runner) -> None:
        self.start = runner.model.teacher.state_dict()['steps'].clone()

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self._note('train', runner)
        self.iterations.append(runner.model.iteration)
        self.students.append(
            {key: value.clone() for key, value in runner.model.student.state_dict().items()}
        )

    def after_val_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self._note('val', runner)


def cfg_of(
    tmp_path: Path,
    name: str = 'run',
    method: str = 'mean_teacher',
    max_iters: int = 5,
    segmentor: dict[str, Any] | None = None,
    **changes: Any,
) -> Any:
    model = toys.method_cfg(method)
    model['segmentor'] = segmentor or model['segmentor']
    changes.setdefault('custom_hooks', [TEACHER, dict(type='_TeacherSpy')])
    return toys.runner_cfg(tmp_path, tmp_path / name, model, max_iters, **changes)


def train(cfg: Any) -> tuple[Any, _TeacherSpy]:
    runner = toys.train(cfg)
    return runner.model, next(hook for hook in runner.hooks if isinstance(hook, _TeacherSpy))


def average(students: list[dict[str, Tensor]], alpha: float) -> dict[str, Tensor]:
    """Eq. (3), as a sum over all that the student was."""
    mean = students[0]
    for t, weights in enumerate(students[1:], 1):
        now = min(1 - 1 / (t + 1), alpha)
        mean = {key: now * mean[key] + (1 - now) * weights[key] for key in mean}
    return mean


def test_teacher_is_the_average_of_its_students_steps(tmp_path: Path) -> None:
    model, spy = train(cfg_of(tmp_path))
    assert_close(model.teacher.module.state_dict(), average(spy.students, 0.7), atol=1e-6, rtol=0)
    assert spy.iterations == [0, 1, 2, 3, 4]
    assert int(model.teacher.steps) == 5


@pytest.mark.parametrize('mode', ['train', 'eval'])
def test_mode_in_every_iteration(mode: str, tmp_path: Path) -> None:
    """The loop calls ``model.train()``, validation ``model.eval()``."""
    loop = dict(type='UDATrainLoop', max_iters=4, val_interval=2)
    cfg = cfg_of(tmp_path, max_iters=4, train_cfg=loop)
    cfg.model.teacher.mode = mode
    _, spy = train(cfg)
    for stage, training in spy.modes:
        assert training == {stage == 'train' and mode == 'train'}
    assert [stage for stage, _ in spy.modes].count('train') == 4
    assert any(stage == 'val' for stage, _ in spy.modes)


@pytest.mark.parametrize('stock', [False, True])
def test_accumulation(stock: bool, tmp_path: Path) -> None:
    """Five iterations, two per step: after the second, the fourth and the last one."""
    if stock:
        wrapper = dict(
            type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2
        )
    else:
        wrapper = toys.optim_wrapper_cfg(toys.METHODS['mean_teacher'], accumulative_counts=2)
    model, spy = train(cfg_of(tmp_path, optim_wrapper=wrapper))
    assert int(model.teacher.steps) == 3
    steps = [spy.students[i] for i in (1, 3, 4)]
    assert_close(spy.students[2], spy.students[1], atol=0, rtol=0)
    assert_close(model.teacher.module.state_dict(), average(steps, 0.7), atol=1e-6, rtol=0)


def test_a_step_that_overflowed_changes_no_teacher(tmp_path: Path) -> None:
    runner = Runner.from_cfg(cfg_of(tmp_path))
    hook = next(each for each in runner.hooks if isinstance(each, EMATeacherHook))
    for overflowed, steps in ((True, 0), (False, 1)):
        stub = SimpleNamespace(
            model=runner.model,
            iter=0,
            max_iters=5,
            optim_wrapper=SimpleNamespace(accumulative_counts=1, overflowed=overflowed),
        )
        hook.after_train_iter(stub, 0)
        assert int(runner.model.teacher.steps) == steps


def test_no_optimizer_has_the_teacher(tmp_path: Path) -> None:
    runner = toys.train(cfg_of(tmp_path, max_iters=1))
    trained = {
        id(param)
        for wrapper in runner.optim_wrapper.optim_wrappers.values()
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    assert trained == {id(param) for param in runner.model.student.parameters()}


# -------------------------------------------------------------------------------- where it begins


def begin(tmp_path: Path, **changes: Any) -> nn.Module:
    """The model when the first iteration begins, or when it would."""
    runner = Runner.from_cfg(cfg_of(tmp_path, 'next', **changes))
    begun = []

    class _Stop(Hook):
        def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
            begun.append({key: value.clone() for key, value in runner.model.state_dict().items()})
            raise KeyboardInterrupt

    runner.register_hook(_Stop(), priority='LOWEST')
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    return {
        key: value for key, value in begun[0].items() if key.startswith(('student.', 'teacher.'))
    }


def assert_both_are(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for prefix in ('student.', 'teacher.module.'):
        assert_close(
            {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)},
            expected,
            atol=0,
            rtol=0,
        )
    assert int(state['teacher.steps']) == 0


def test_begins_as_the_student(tmp_path: Path) -> None:
    state = begin(tmp_path)
    assert_both_are(
        state, {key[8:]: value for key, value in state.items() if key.startswith('student.')}
    )


@pytest.mark.parametrize('prefix', ['', 'student.'])
def test_stock_checkpoint_gives_both(prefix: str, tmp_path: Path) -> None:
    """One of stock mmseg, and one of a method without a teacher."""
    torch.manual_seed(7)
    segmentor = toys.segmentor_cfg(batch_norm=True)
    stock = MODELS.build(segmentor)
    stock.train()(torch.randn(2, 3, *toys.SIZE))
    weights = {prefix + key: value for key, value in stock.state_dict().items()}
    torch.save(dict(state_dict=weights, meta={}), tmp_path / 'stock.pth')
    state = begin(tmp_path, segmentor=segmentor, load_from=str(tmp_path / 'stock.pth'))
    assert_both_are(state, stock.state_dict())


def test_stock_checkpoint_without_counters() -> None:
    """Files from before batch norm counted its batches."""
    segmentor = toys.segmentor_cfg(batch_norm=True)
    weights = {
        key: value
        for key, value in MODELS.build(segmentor).state_dict().items()
        if not key.endswith('num_batches_tracked')
    }
    model = toys.build('mean_teacher', segmentor=segmentor)
    model.load_state_dict(dict(weights), strict=False)
    for network in (model.student, model.teacher.module):
        state = network.state_dict()
        assert_close({key: state[key] for key in weights}, weights, atol=0, rtol=0)


def test_own_checkpoint_gives_each_its_own(tmp_path: Path) -> None:
    train(cfg_of(tmp_path))
    file = tmp_path / 'run' / 'iter_5.pth'
    for resume in (False, True):
        state = begin(tmp_path, max_iters=9, load_from=str(file), resume=resume)
        expected = load_checkpoint(file)['state_dict']
        assert_close(state, {key: expected[key] for key in state}, atol=0, rtol=0)
        assert int(state['teacher.steps']) == 5


def test_resumed_run_knows_its_iteration(tmp_path: Path) -> None:
    train(cfg_of(tmp_path))
    _, spy = train(
        cfg_of(
            tmp_path,
            'next',
            max_iters=8,
            resume=True,
            load_from=str(tmp_path / 'run' / 'iter_5.pth'),
        )
    )
    assert spy.iterations == [5, 6, 7]


def test_checkpoint_of_another_network() -> None:
    model = toys.build('mean_teacher')
    state = model.state_dict()
    state['teacher.module.backbone.stem.weight'] = torch.zeros(2, 3, 3, 3)
    with pytest.raises(
        ValueError,
        match='MeanTeacher: expected a checkpoint of this method or of its segmentor, but 1 of 11 '
        'tensors are missing or of another shape, the first is teacher.module.backbone.stem.weight',
    ):
        model.load_state_dict(state)
    del state['student.backbone.stem.weight']
    with pytest.raises(
        ValueError,
        match='tensors are missing or of another shape, the first is student.backbone.stem.weight',
    ):
        model.load_state_dict(state)


# ------------------------------------------------------------------------------------------ errors


def test_method_without_the_hook(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError,
        match='MeanTeacher.iteration: expected a number, but got None; write '
        r"custom_hooks=\[dict\(type='EMATeacherHook'\)\]",
    ):
        toys.train(cfg_of(tmp_path, custom_hooks=[]))


def test_hook_without_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(
        TypeError,
        match='EMATeacherHook: expected a method with a teacher, but got SourceOnly; write '
        r"model=dict\(type='MeanTeacher', ...\), or remove the hook",
    ):
        toys.train(cfg_of(tmp_path, method='source_only', custom_hooks=[TEACHER]))
