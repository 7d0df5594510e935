"""Files are written whole or not at all, and read with helpful errors."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseg_uda.artifacts import files
from mmseg_uda.artifacts.files import atomic_write, explain_read_errors, list_files, write_torch

WRITE_AND_WAIT = """
import sys, time
from mmseg_uda.artifacts.files import atomic_write
with atomic_write(sys.argv[1]) as partial:
    partial.write_text('half')
    print('ready', flush=True)
    time.sleep(60)
"""


def test_replaces(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'a.txt'
    for text in ('one', 'two'):
        with atomic_write(str(path)) as partial:
            partial.write_text(text)
            assert partial.parent == path.parent
            assert partial.suffix == '.tmp'
            assert not path.exists() or path.read_text() == 'one'
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def interrupted() -> None:
        with atomic_write(path) as partial:
            partial.write_text('half')
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_names_are_new_and_exclusive(tmp_path: Path, monkeypatch) -> None:
    path, names = tmp_path / 'a.txt', set()
    for _ in range(2):
        with atomic_write(path) as partial:
            names.add(partial.name)
    assert len(names) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    # Even a name that was foreseen is not written through.
    monkeypatch.setattr(files.secrets, 'token_hex', lambda count: '0' * 2 * count)
    (tmp_path / 'mine').write_text('kept')
    (tmp_path / f'a.txt.{"0" * 16}.tmp').symlink_to('mine')
    with pytest.raises(FileExistsError), atomic_write(path) as partial:
        partial.write_text('lost')
    assert (tmp_path / 'mine').read_text() == 'kept'


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_leftovers_go_and_living_files_stay(tmp_path: Path, monkeypatch) -> None:
    command = [sys.executable, '-c', WRITE_AND_WAIT, str(tmp_path / 'a.txt')]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while process.stdout.readline() != b'ready\n':
            assert process.poll() is None
        (tmp_path / 'mine.tmp').touch()
        monkeypatch.setattr(files, '_swept', set())
        with atomic_write(tmp_path / 'b.txt'):
            pass
        names = {path.name for path in tmp_path.iterdir()}
        assert len(names) == 3  # that of the process, too
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert {path.name for path in tmp_path.iterdir()} == names
    monkeypatch.setattr(files, '_swept', set())
    with atomic_write(tmp_path / 'b.txt'):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {'b.txt', 'mine.tmp'}


def test_torch_files_do_not_depend_on_the_temporary_name(tmp_path: Path) -> None:
    for name in ('a.pth', 'b.pth'):
        write_torch(tmp_path / name, {'x': torch.ones(2)})
    assert (tmp_path / 'a.pth').read_bytes() == (tmp_path / 'b.pth').read_bytes()
    assert torch.load(tmp_path / 'a.pth', weights_only=True)['x'].tolist() == [1, 1]


def test_read_errors_name_file_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / 'a.json'

    def read() -> None:
        with explain_read_errors('Reader', path, 'run make'):
            raise KeyError('x')

    with pytest.raises(FileNotFoundError, match=r'^Reader: no file .*a\.json; run make$'):
        read()
    path.touch()
    with pytest.raises(
        ValueError, match=r"^Reader: cannot read .*a\.json \(KeyError: 'x'\); run m"
    ):
        read()


def test_list_of_files(tmp_path: Path) -> None:
    for name in ('b/2', 'b/a/1', 'c', 'a.7.tmp'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(list_files(tmp_path)) == ['c', 'b/2', 'b/a/1']


def test_directories_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their files are not left out in silence: half of the images would pass for all."""
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == 'b':
            raise PermissionError(errno.EACCES, 'Permission denied', path)
        return scan(path)

    monkeypatch.setattr(files.os, 'scandir', refuse)
    message = f'Permission denied; make the directory readable: {str(tmp_path / "b")!r}'
    with pytest.raises(PermissionError, match=message):
        list(list_files(tmp_path))
    assert list(list_files(tmp_path / 'none')) == []


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    for name in ('a/1', 'b/2'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / 'a/up').symlink_to('../..')
    (tmp_path / 'a/b').symlink_to('../b')
    (tmp_path / 'b/a').symlink_to('../a')
    assert list(list_files(tmp_path / 'a')) == ['1', 'b/2']
    assert list(list_files(tmp_path)) == ['a/1', 'a/b/2', 'b/2', 'b/a/1']


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize('step', ['write', 'fsync', 'open'])
def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    def fill(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / 'a.txt'
    path.write_text('old')
    if step != 'write':
        monkeypatch.setattr(files.os, step, fill)

    def write() -> None:
        with atomic_write(path) as partial:
            partial.write_text('half')
            if step == 'write':
                fill()

    message = f'{os.strerror(number)}; free space in {tmp_path}, or write elsewhere: {str(path)!r}'
    with pytest.raises(OSError, match=re.escape(message)) as full:
        write()
    assert files.is_disk_full(full.value)
    monkeypatch.undo()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_are_not_of_the_disk(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / 'a.txt'):
            raise PermissionError(errno.EACCES, 'denied', 'b.txt')

    with pytest.raises(PermissionError, match='denied') as other:
        write()
    assert other.value.filename == 'b.txt'
    assert not files.is_disk_full(other.value)
