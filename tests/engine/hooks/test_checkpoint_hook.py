"""A run always has a whole checkpoint, whenever it is killed."""

from __future__ import annotations

import resource
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import toys
from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_uda.artifacts.checkpoint import load_checkpoint
from mmseg_uda.artifacts.storage import AtomicBackend
from mmseg_uda.engine.hooks import CheckpointHook
from mmseg_uda.utils.cli import run_main


class KilledError(Exception):
    pass


def config(root: Path, **hook: Any) -> Config:
    cfg = toys.runner_cfg(root / 'data', root / 'run', toys.method_cfg('source_only'), 6)
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=1, **hook)
    if 'save_best' in hook:
        cfg.train_cfg.update(val_interval=2, val_begin=0)
    return cfg


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / 'run').glob('*.pth'))


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Names of the checkpoints that were there whenever another one was written."""
    put, seen = AtomicBackend.put, []

    def note(self: AtomicBackend, obj: bytes, path: str) -> None:
        seen.append(sorted(each.name for each in Path(path).parent.glob('*.pth')))
        put(self, obj, path)

    monkeypatch.setattr(AtomicBackend, 'put', note)
    return seen


def test_deletes_after_writing(tmp_path: Path, puts: list[list[str]]) -> None:
    runner = toys.train(config(tmp_path))
    assert any(type(hook) is CheckpointHook for hook in runner.hooks)
    assert puts == [[], ['iter_2.pth'], ['iter_4.pth']]
    assert names(tmp_path) == ['iter_6.pth']
    assert runner.message_hub.get_info('keep_ckpt_ids') == [6]


@pytest.mark.parametrize('stock', [False, True])
@pytest.mark.parametrize(('counts', 'advice'), [(2, None), (4, 4), (3, 3), (1, None)])
def test_gradients_are_in_no_checkpoint(
    stock: bool, counts: int, advice: int | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = config(tmp_path)
    wrapper = toys.optim_wrapper_cfg(toys.METHODS['source_only'])
    if stock:
        wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    cfg.optim_wrapper = dict(wrapper, accumulative_counts=counts)
    runner = Runner.from_cfg(cfg)
    with caplog.at_level('WARNING', logger=runner.logger.name):
        runner.logger.addHandler(caplog.handler)
        runner.train()
    lines = [line for line in caplog.messages if 'CheckpointHook.interval' in line]
    assert len(lines) == (advice is not None)
    if advice:
        assert f'accumulative_counts={counts}, but got 2' in lines[0]
        assert lines[0].endswith(f'write default_hooks.checkpoint.interval={advice}')


def test_best_one_is_deleted_after_the_better_one_is_written(
    tmp_path: Path, puts: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((1.0, 3.0, 2.0))
    monkeypatch.setattr('mmengine.evaluator.Evaluator.evaluate', lambda *_: {'mIoU': next(scores)})
    runner = toys.train(config(tmp_path, save_best='mIoU'))
    best = ['best_mIoU_iter_2.pth', 'best_mIoU_iter_4.pth']
    # Of each validation that is better: the best one, then the last one again, which names it.
    assert puts == [
        [],
        ['iter_2.pth'],
        [best[0], 'iter_2.pth'],
        [best[0], 'iter_2.pth'],
        [best[0], 'iter_4.pth'],
        [*best, 'iter_4.pth'],
        [best[1], 'iter_4.pth'],
    ]
    assert names(tmp_path) == [best[1], 'iter_6.pth']
    info = load_checkpoint(tmp_path / 'run/iter_6.pth')['message_hub']['runtime_info']
    assert info['best_score'] == 3
    assert runner.message_hub.get_info('best_ckpt') == str(tmp_path / 'run' / best[1])


def test_surplus_goes_when_a_killed_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointHook, '_delete', die)
        with pytest.raises(KilledError):
            toys.train(config(tmp_path))
    assert names(tmp_path) == ['iter_2.pth', 'iter_4.pth']
    cfg = config(tmp_path)
    cfg.resume, cfg.load_from = True, str(tmp_path / 'run/iter_4.pth')
    runner = Runner.from_cfg(cfg)
    monkeypatch.setattr(runner, 'save_checkpoint', die)
    with pytest.raises(KilledError):
        runner.train()
    assert names(tmp_path) == ['iter_4.pth']


def test_half_a_file_is_never_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def fill_the_disk(path: Path, content: bytes) -> None:
        write(path, content[:100])
        raise OSError(28, 'No space left on device')

    toys.train(config(tmp_path))
    monkeypatch.setattr(Path, 'write_bytes', fill_the_disk)
    cfg = config(tmp_path)
    cfg.train_cfg.max_iters = 8
    cfg.resume, cfg.load_from = True, str(tmp_path / 'run/iter_6.pth')
    with pytest.raises(OSError, match='No space left'):
        toys.train(cfg)
    assert names(tmp_path) == ['iter_6.pth']
    assert load_checkpoint(tmp_path / 'run/iter_6.pth')['meta']['iter'] == 6
    assert not list(tmp_path.rglob('*.tmp'))


def test_a_validation_alone_saves_nothing(tmp_path: Path) -> None:
    assert Runner.from_cfg(config(tmp_path, save_best='mIoU')).val()['mIoU'] > 0
    assert names(tmp_path) == []


def _train_in_little_space(root: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # bytes
    run_main(lambda: toys.train(config(root)))


def test_no_space_for_a_checkpoint(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    process = get_context('fork').Process(target=_train_in_little_space, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 1
    directory = tmp_path / 'run'
    assert capfd.readouterr().err == (
        f'error: OSError: [Errno 27] File too large; free space in {directory}, or write '
        f"elsewhere: '{directory}/iter_2.pth' (--traceback shows where)\n"
    )
    assert not [path for path in directory.iterdir() if path.suffix in ('.pth', '.tmp')]
