"""The directory of a run: one process at a time, and no older run is overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.logging import print_log

from mmseg_uda.artifacts.checkpoint import find_latest_checkpoint
from mmseg_uda.artifacts.files import PathLike, free_path
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.artifacts.torch_files import load_torch_file
from mmseg_uda.config.reads import FILES, read_paths
from mmseg_uda.utils.processes import on_main

__all__ = ['TRAIN_LOCK', 'lock_directory', 'open_work_dir', 'resume_latest']

LOCK_TIMEOUT = 20.0  # seconds; workers of a killed process live on for a few
TRAIN_LOCK = 'train.lock'


@contextmanager
def lock_directory(directory: PathLike, name: str, kind: str) -> Iterator[None]:
    """Keep other processes out of a directory for a block; the lock goes with the process.

    All processes of a run call this.

    Args:
        directory: The directory; created if it is missing.
        name: Name of the lock's file, which stays.
        kind: Kind of the run, for the error.

    Raises:
        RuntimeError: Another run works there.
    """
    lock = FileLock(Path(directory, name))

    def acquire() -> None:
        Path(directory).mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=LOCK_TIMEOUT)
        except Timeout:
            raise RuntimeError(
                f'{directory}: a {kind} runs in this directory; wait for it, or write another '
                '--work-dir'
            ) from None

    on_main(acquire)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def open_work_dir(cfg: Config, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
    """Lock the directory of a training, and refuse one that holds checkpoints of another.

    All processes of the training call this.

    Args:
        cfg: Its config.
        resume: The training goes on with what is there.
        overwrite: Move what is there aside.

    Raises:
        RuntimeError: Another training runs there.
        ValueError: It holds checkpoints, is where data are read, or is a file.
    """
    if Path(cfg.work_dir).is_file():
        raise ValueError(f'work_dir: expected a directory, but got the file {cfg.work_dir!r}')
    but = () if overwrite else FILES
    check_output('work_dir', cfg.work_dir, read_paths(cfg, but))
    with lock_directory(cfg.work_dir, TRAIN_LOCK, 'training'):
        if not resume:
            on_main(lambda: _make_room(cfg, overwrite))
        yield


def resume_latest(cfg: Config) -> None:
    """Let a training go on from its latest readable checkpoint, or begin if there is none."""
    latest = on_main(lambda: find_latest_checkpoint(_checkpoint_directory(cfg)))
    cfg.resume = latest is not None
    if latest is not None:  # else from `load_from`, if the config has it
        cfg.load_from = str(latest)


def _checkpoint_directory(cfg: Config) -> Path:
    """The directory where the checkpoint hook writes."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    work_dir = Path(cfg.work_dir)
    return Path(hook['out_dir'], work_dir.name) if hook.get('out_dir') else work_dir


def _make_room(cfg: Config, overwrite: bool) -> None:
    for directory in {Path(cfg.work_dir), _checkpoint_directory(cfg)}:
        found = sorted(directory.glob('*.pth'), key=lambda path: path.stat().st_mtime)
        if not found:
            continue
        aside = free_path(directory)
        if not overwrite:
            raise ValueError(
                f'work_dir: expected one without checkpoints, but got {str(directory)!r}, which '
                f'holds {_describe(found[-1])}; --resume goes on with it, another --work-dir '
                f'starts beside it, --overwrite moves it to {str(aside)!r} (nothing is deleted)'
            )
        aside.mkdir()
        for path in directory.iterdir():
            if path.name != TRAIN_LOCK:  # the lock holds for the directory, not for its content
                path.rename(aside / path.name)
        print_log(f'The run in {directory} is in {aside} now', 'current')


def _describe(checkpoint: Path) -> str:
    try:
        meta = load_torch_file(checkpoint)['meta']
        run, iteration, time = (meta[key] for key in ('experiment_name', 'iter', 'time'))
        return f'{checkpoint.name} of the run {run!r} (iteration {iteration}, written {time})'
    except (ValueError, LookupError, TypeError):
        return f'{checkpoint.name}, which cannot be read'
