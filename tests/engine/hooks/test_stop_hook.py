"""A training that a signal ends leaves a checkpoint, from which it goes on exactly."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.evaluation import IoUMetric
from torch.testing import assert_close

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.artifacts.storage import AtomicBackend
from mmseg_uda.stages.train import run_training
from mmseg_uda.utils.signals import Stop, stop_on_signals
from mmseg_uda.utils.work_dir import resume_latest


@pytest.fixture
def _signals() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with stop_on_signals():
        yield
    signal.signal(signal.SIGINT, before)


class SignalHook(Hook):
    """Sends a signal to its own process in the middle of an iteration."""

    priority = 'LOW'

    def __init__(self, iteration: int, signum: int = signal.SIGTERM) -> None:
        self.iteration = iteration
        self.signum = signum

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.iteration:
            os.kill(os.getpid(), self.signum)


def signal_in_validation(patch: pytest.MonkeyPatch) -> list[int]:
    """Send a signal with the second image; the list has an item per image."""
    process, calls = IoUMetric.process, []

    def note(self: IoUMetric, *args: Any) -> None:
        calls.append(0)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        process(self, *args)

    patch.setattr(IoUMetric, 'process', note)
    return calls


def config(root: Path, name: str, **changes: Any) -> Config:
    cfg = toys.runner_cfg(root / 'data', root / name, toys.method_cfg('mean_teacher'), 6, **changes)
    cfg.default_hooks.checkpoint.update(interval=4, max_keep_ckpts=1, save_best='mIoU')
    cfg.train_cfg.update(val_interval=3, val_begin=0)
    return cfg


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a training that nothing stopped."""
    root = tmp_path_factory.mktemp('stop')
    run_training(config(root, 'straight'), checkpoint_on_signal=True)
    return root


def assert_goes_on_exactly(root: Path, name: str) -> None:
    cfg = config(root, name)
    resume_latest(cfg)
    assert cfg.resume
    run_training(cfg, checkpoint_on_signal=True)
    assert sorted(path.name for path in (root / name).glob('*.pth')) == sorted(
        path.name for path in (root / 'straight').glob('*.pth')
    )
    one, other = (load_checkpoint(root / run / 'iter_6.pth') for run in ('straight', name))
    assert_close(other['state_dict'], one['state_dict'], atol=0, rtol=0)
    momenta, others = (each['optimizer']['student']['state'] for each in (one, other))
    assert_close(others, momenta, atol=0, rtol=0)


@pytest.mark.usefixtures('_signals')
@pytest.mark.parametrize(('signum', 'workers'), [(signal.SIGTERM, 0), (signal.SIGINT, 1)])
def test_the_iteration_ends_and_is_saved(root: Path, signum: int, workers: int) -> None:
    name = f'stopped_{workers}'
    cfg = config(root, name, num_workers=workers)
    cfg.custom_hooks.append(dict(type=SignalHook, iteration=1, signum=signum))
    with pytest.raises(Stop, match=rf'{name}/iter_2\.pth holds iteration 2, resume from') as end:
        run_training(cfg, checkpoint_on_signal=True)
    assert end.value.exit_code == 128 + signum
    assert (root / name / 'last_checkpoint').read_text().endswith('iter_2.pth')
    assert_goes_on_exactly(root, name)


@pytest.mark.usefixtures('_signals')
def test_a_validation_is_cut_off_and_repeated(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        calls = signal_in_validation(patch)
        with pytest.raises(Stop, match=r'iter_3\.pth holds iteration 3, resume'):
            run_training(config(root, 'validation'), checkpoint_on_signal=True)
    assert len(calls) == 2
    assert_goes_on_exactly(root, 'validation')


@pytest.mark.usefixtures('_signals')
def test_what_was_just_saved_is_not_saved_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, puts = AtomicBackend.put, []

    def note(self: AtomicBackend, obj: bytes, path: str) -> None:
        puts.append(Path(path).name)
        put(self, obj, path)

    monkeypatch.setattr(AtomicBackend, 'put', note)
    cfg = config(root, 'saved')
    cfg.custom_hooks.append(dict(type=SignalHook, iteration=3))
    with pytest.raises(Stop):
        run_training(cfg, checkpoint_on_signal=True)
    assert puts.count('iter_4.pth') == 1


@pytest.mark.usefixtures('_signals')
def test_without_the_option_it_ends_at_once(root: Path) -> None:
    cfg = config(root, 'plain')
    cfg.custom_hooks.append(dict(type=SignalHook, iteration=1))
    with pytest.raises(Stop, match='^terminated; the same command goes on where it can$'):
        run_training(cfg)
    assert not list((root / 'plain').glob('*.pth'))


def test_epochs_are_refused(root: Path) -> None:
    cfg = config(root, 'epochs')
    cfg.default_hooks.checkpoint.by_epoch = True
    with pytest.raises(ValueError, match='counts in iterations, but got one that counts in epochs'):
        run_training(cfg, checkpoint_on_signal=True)


def _train(rank: int, root: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{root}/meeting', rank=rank, world_size=2
    )
    cfg = config(
        root,
        'pair',
        batch_size=1,
        launcher='pytorch',
        model_wrapper_cfg=dict(type='UDADistributedDataParallel'),
    )
    cfg.custom_hooks.append(dict(type=SignalHook, iteration=1 if rank else 99))
    try:
        with stop_on_signals():
            run_training(cfg, checkpoint_on_signal=True)
    except Stop as stop:
        os._exit(stop.exit_code)


def test_a_signal_to_one_process_stops_both(root: Path) -> None:
    pair = [get_context('fork').Process(target=_train, args=(rank, root)) for rank in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(60)
    assert [process.exitcode for process in pair] == [143, 143]
    assert [path.name for path in (root / 'pair').glob('*.pth')] == ['iter_2.pth']
    assert load_checkpoint(root / 'pair' / 'iter_2.pth')['meta']['iter'] == 2


@pytest.mark.usefixtures('_signals')
@pytest.mark.parametrize(
    'hook',
    [
        dict(type='AdaBNHook', num_images=None, batch_size=2, num_workers=0),
        dict(type='EMAHook', momentum=0.3),
    ],
)
def test_a_checkpoint_of_a_validation_is_that_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: dict[str, Any]
) -> None:
    """Not with the statistics or the averaged weights that hooks put in for the validation."""

    def with_hook(name: str, interval: int) -> Config:
        segmentor = toys.segmentor_cfg(batch_norm=True)
        model = toys.method_cfg('source_only', segmentor=segmentor)
        cfg = toys.runner_cfg(tmp_path / 'data', tmp_path / name, model, 6)
        cfg.default_hooks.checkpoint.update(interval=interval)
        cfg.train_cfg.update(val_interval=3, val_begin=0)
        cfg.custom_hooks.append(hook)
        return cfg

    run_training(with_hook('straight', 1), checkpoint_on_signal=True)
    signal_in_validation(monkeypatch)
    with pytest.raises(Stop, match=r'iter_3\.pth holds iteration 3'):
        run_training(with_hook('cut', 4), checkpoint_on_signal=True)
    one, other = (load_checkpoint(tmp_path / run / 'iter_3.pth') for run in ('straight', 'cut'))
    for part in {'state_dict', 'ema_state_dict'} & one.keys():
        assert_close(other[part], one[part], atol=0, rtol=0)


@pytest.mark.usefixtures('_signals')
@pytest.mark.parametrize(
    'wrapper',
    [
        toys.optim_wrapper_cfg(toys.METHODS['source_only'], accumulative_counts=2),
        dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2),
    ],
    ids=['joint', 'stock'],
)
def test_gradients_that_wait_for_a_step_are_not_lost(
    wrapper: dict[str, Any], tmp_path: Path
) -> None:
    cfg = config(tmp_path, 'waits')
    cfg.optim_wrapper = wrapper
    cfg.custom_hooks.append(dict(type=SignalHook, iteration=2))
    with pytest.raises(Stop, match='holds iteration 4, resume from'):
        run_training(cfg, checkpoint_on_signal=True)
