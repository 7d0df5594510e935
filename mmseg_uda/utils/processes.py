"""Work shared between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2
import torch
import torch.distributed as dist
from mmengine.dist import broadcast_object_list, get_rank
from torch.utils.data import DataLoader

from mmseg_uda.utils.progress import track

__all__ = ['connect_on_cpu', 'end_workers', 'map_with_progress', 'on_main']

S = TypeVar('S')
T = TypeVar('T')

# Where a launcher writes what PyTorch calls RANK, WORLD_SIZE and LOCAL_RANK.
LAUNCHER_VARIABLES = {
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def connect_on_cpu(launcher: str) -> None:
    """Connect the processes of a launcher over gloo.

    Args:
        launcher: ``'pytorch'``, ``'slurm'`` or ``'mpi'``. As with GPUs, ``MASTER_PORT`` is 29500 by
            default, and ``MASTER_ADDR`` the first node of a Slurm job.

    Raises:
        ValueError: A variable of the launcher is missing.
    """
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise ValueError(
            '--launcher pytorch: expected RANK in the environment, but got none; start the '
            'processes by torchrun'
        )
    if launcher != 'pytorch':
        os.environ.setdefault('MASTER_PORT', '29500')
        names = LAUNCHER_VARIABLES[launcher]
        needed = (*names, *(() if launcher == 'slurm' else ('MASTER_ADDR',)))
        missing = [name for name in needed if name not in os.environ]
        if missing:
            raise ValueError(
                f'--launcher {launcher}: expected {", ".join(missing)} in the environment, but got '
                'none; start the processes by '
                + ('srun' if launcher == 'slurm' else 'mpirun, with MASTER_ADDR')
            )
        for name, value in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), names):
            os.environ[name] = os.environ[value]
        if 'MASTER_ADDR' not in os.environ:
            command = ['scontrol', 'show', 'hostname', os.environ['SLURM_NODELIST']]
            os.environ['MASTER_ADDR'] = subprocess.check_output(command, text=True).split()[0]
    dist.init_process_group('gloo')


def on_main(function: Callable[[], T]) -> T:
    """Call a function in the first process only, and return its result in all processes.

    Args:
        function: Its result must be picklable if there are several processes.

    Raises:
        Exception: In the first process, the error of the function.
        RuntimeError: In the other processes, if the function failed; without it they would wait
            for the first process for ever.
    """
    outcome: list[Any] = [None, None]  # result; text of an error
    failure: Exception | None = None
    if get_rank() == 0:
        try:
            outcome[0] = function()
        except Exception as error:
            failure = error
            outcome[1] = f'{type(error).__name__}: {error}'
    broadcast_object_list(outcome)
    if failure is not None:
        raise failure
    if outcome[1] is not None:
        raise RuntimeError(f'the first process failed with {outcome[1]}')
    return outcome[0]


def end_workers(loader: DataLoader[Any]) -> None:
    """End the persistent workers of a dataloader; its next pass starts others.

    A loader that is left to the garbage collector has lost the queues by which it tells its workers
    to end; PyTorch then waits up to 5 s for each of them.
    """
    loader._iterator = None


def map_with_progress(
    function: Callable[[S], T], items: Sequence[S], title: str, nproc: int = 1
) -> list[T]:
    """Map a function over items, and show the progress.

    Args:
        function: The function; picklable if ``nproc`` is above 1.
        items: Its arguments.
        title: What the items are.
        nproc: Number of processes; 1 works in this one.

    Returns:
        The results, in the order of ``items``.

    Raises:
        RuntimeError: One of the processes was killed.
    """
    if nproc == 1 or len(items) < 2:
        return [function(item) for item in track(items, len(items), title)]
    results = []
    try:
        # A multiprocessing.Pool would wait for ever for the result of a process that was killed.
        with ProcessPoolExecutor(nproc, initializer=_init_worker, initargs=(os.getpid(),)) as pool:
            for result in track(pool.map(function, items), len(items), title):
                results.append(result)
    except BrokenProcessPool as error:
        raise RuntimeError(
            f'one of {nproc} processes was killed, often for want of memory; the same command goes '
            'on, with fewer processes if need be'
        ) from error
    return results


def _init_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone ends an interrupted run
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # The processes already share the cores.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _end_with(parent: int) -> None:
    """End this process soon after its parent, even one that was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
