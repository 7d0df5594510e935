"""One run at a time works in a directory, and an older run is never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_uda.utils import work_dir
from mmseg_uda.utils.work_dir import lock_directory, open_work_dir, resume_latest


def write_checkpoint(path: Path, iteration: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = dict(iter=iteration, experiment_name='toy_1', time='20240102_030405')
    torch.save(dict(state_dict={}, meta=meta), path)


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    dataset = dict(data_root=str(tmp_path / 'data'), data_prefix=dict(img_path='images'))
    return Config(
        dict(
            work_dir=str(tmp_path / 'run'),
            train_dataloader=dict(source=dict(dataset=dataset)),
            load_from=str(tmp_path / 'run/init.pth'),
        )
    )


def test_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_dir, 'LOCK_TIMEOUT', 0)
    with lock_directory(tmp_path / 'run', 'a.lock', 'training'):
        with (
            pytest.raises(RuntimeError, match=r'run: a training runs in this directory; wait for'),
            lock_directory(tmp_path / 'run', 'a.lock', 'training'),
        ):
            pass
        with lock_directory(tmp_path / 'run', 'b.lock', 'pipeline'):
            pass
    with lock_directory(tmp_path / 'run', 'a.lock', 'training'):
        pass


def test_used_directory(tmp_path: Path, cfg: Config) -> None:
    with open_work_dir(cfg):
        pass
    write_checkpoint(tmp_path / 'run/iter_4.pth', 4)
    expected = (
        r"^work_dir: expected one without checkpoints, but got '\S+run', which holds iter_4\.pth "
        r"of the run 'toy_1' \(iteration 4, written 20240102_030405\); --resume goes on with it, "
        r"another --work-dir starts beside it, --overwrite moves it to '\S+run.old-1' "
        r'\(nothing is deleted\)$'
    )
    with pytest.raises(ValueError, match=expected), open_work_dir(cfg):
        pass
    (tmp_path / 'run/iter_4.pth').write_bytes(b'half')
    with pytest.raises(ValueError, match='iter_4.pth, which cannot be read; '), open_work_dir(cfg):
        pass
    with open_work_dir(cfg, resume=True):
        assert (tmp_path / 'run/iter_4.pth').read_bytes() == b'half'


def test_overwriting_moves_aside(tmp_path: Path, cfg: Config) -> None:
    write_checkpoint(tmp_path / 'run/iter_4.pth', 4)
    (tmp_path / 'run/notes').mkdir()
    (tmp_path / 'run/notes/mine.txt').write_text('mine')
    # What the training reads must not move away.
    with (
        pytest.raises(ValueError, match='work_dir: expected a place apart from load_from='),
        open_work_dir(cfg, overwrite=True),
    ):
        pass
    cfg.load_from = None
    with open_work_dir(cfg, overwrite=True):
        assert [path.name for path in (tmp_path / 'run').iterdir()] == ['train.lock']
        aside = sorted(path.name for path in (tmp_path / 'run.old-1').iterdir())
        assert aside == ['iter_4.pth', 'notes']
    assert (tmp_path / 'run.old-1/notes/mine.txt').read_text() == 'mine'
    with open_work_dir(cfg, overwrite=True):  # no checkpoint, so nothing moves
        assert not (tmp_path / 'run.old-2').exists()


@pytest.mark.parametrize('name', ['data', 'data/images', 'data/images/run', '.'])
def test_data_directories(tmp_path: Path, cfg: Config, name: str) -> None:
    cfg.work_dir = str(tmp_path / name)
    with (
        pytest.raises(ValueError, match='^work_dir: expected a place apart from train_dataloader'),
        open_work_dir(cfg, overwrite=True),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_checkpoints_elsewhere(tmp_path: Path, cfg: Config) -> None:
    cfg.default_hooks = dict(checkpoint=dict(out_dir=str(tmp_path / 'out')))
    resume_latest(cfg)
    assert not cfg.resume
    assert cfg.load_from == str(tmp_path / 'run/init.pth')
    write_checkpoint(tmp_path / 'out/run/iter_4.pth', 4)
    with (
        pytest.raises(ValueError, match=r"got '\S+out/run', which holds iter_4"),
        open_work_dir(cfg),
    ):
        pass
    resume_latest(cfg)
    assert cfg.resume
    assert cfg.load_from == str(tmp_path / 'out/run/iter_4.pth')
