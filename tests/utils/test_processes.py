"""Maps with a progress bar, and launchers on CPUs."""

from __future__ import annotations

import os
import signal
import socket
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch.distributed as dist

from mmseg_uda.utils.processes import connect_on_cpu, map_with_progress

SLURM = dict(SLURM_PROCID='0', SLURM_NTASKS='1', SLURM_LOCALID='0', SLURM_NODELIST='n[1-2]')
MPI = 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'


@pytest.mark.parametrize('nproc', [1, 2])
def test_results_keep_their_order(nproc: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert map_with_progress(abs, [-3, 2, -1], 'numbers', nproc) == [3, 2, 1]
    captured = capsys.readouterr()
    assert captured.out == ''
    assert map_with_progress(abs, [], 'numbers', nproc) == []


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, unused_port: str) -> pytest.MonkeyPatch:
    """Without a launcher's variables; what is set is taken back."""
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', *SLURM, *MPI):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setenv('MASTER_PORT', unused_port)
    return monkeypatch


@pytest.fixture
def unused_port() -> str:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_launcher_without_gpus(launcher: str, environment: pytest.MonkeyPatch) -> None:
    hosts: list[list[str]] = []

    def scontrol(command: list[str], text: bool) -> str:
        hosts.append(command)
        return '127.0.0.1\nn2\n'

    environment.setattr('subprocess.check_output', scontrol)
    variables = SLURM if launcher == 'slurm' else dict(zip(MPI, '010'), MASTER_ADDR='127.0.0.1')
    for name, value in variables.items():
        environment.setenv(name, value)
    connect_on_cpu(launcher)
    try:
        assert (dist.get_backend(), dist.get_rank(), dist.get_world_size()) == ('gloo', 0, 1)
        assert os.environ['LOCAL_RANK'] == '0'
        assert hosts == (
            [['scontrol', 'show', 'hostname', 'n[1-2]']] if launcher == 'slurm' else []
        )
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_launcher_that_did_not_start_it(launcher: str, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=f'--launcher {launcher}: expected .*RANK|PROCID'):
        connect_on_cpu(launcher)


def _die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_process_is_an_error() -> None:
    with pytest.raises(RuntimeError, match='one of 2 processes was killed, often for want of mem'):
        map_with_progress(_die, range(9), 'numbers', 2)


def _slow(directory: Path) -> None:
    (directory / str(os.getpid())).touch()
    time.sleep(60)


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    parent = get_context('fork').Process(
        target=map_with_progress, args=(_slow, [tmp_path] * 9, 'numbers', 2)
    )
    parent.start()
    workers: list[int] = []
    while len(workers) < 2:
        time.sleep(0.05)
        workers = [int(path.name) for path in tmp_path.iterdir()]
    parent.kill()
    parent.join()
    deadline = time.monotonic() + 20
    while any(map(_lives, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(process: int) -> bool:
    try:
        state = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return False
    return state != 'Z'
