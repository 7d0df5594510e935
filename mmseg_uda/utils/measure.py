"""Time and memory of computations."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

__all__ = ['clock', 'clock_name', 'comparison', 'describe_machine', 'paired_times', 'peak_memory']


def describe_machine(device: torch.device) -> str:
    """Name torch's version and what it computes on."""
    on_cuda = device.type == 'cuda'
    threads = f'CPU, {torch.get_num_threads()} thread(s)'
    return (
        f'torch {torch.__version__}, {torch.cuda.get_device_name(device) if on_cuda else threads}'
    )


def clock_name(device: torch.device) -> str:
    """Name the time that :func:`clock` gives."""
    return 'elapsed' if device.type == 'cuda' else 'processor time'


def clock(device: torch.device) -> float:
    """Read a clock in seconds: of processor time on a CPU, of elapsed time on a GPU."""
    if device.type != 'cuda':
        return time.process_time()  # other programs on the machine do not count
    torch.cuda.synchronize()
    return time.perf_counter()


def paired_times(
    calls: Mapping[str, Callable[[], object]], device: torch.device, repeat: int, warm_up: int = 0
) -> dict[str, list[float]]:
    """Time several computations in turn, so that a busy machine slows all of them down.

    Args:
        calls: The computations by name; each round makes them in this order.
        device: The device that they run on.
        repeat: Timed rounds.
        warm_up: Rounds before these, in which memory is allocated and kernels are chosen.

    Returns:
        Seconds by name, one per round: of processor time on a CPU, elapsed on a GPU.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warm_up + repeat):
        for name, call in calls.items():
            start = clock(device)
            call()
            seconds[name].append(clock(device) - start)
    return {name: times[warm_up:] for name, times in seconds.items()}


def peak_memory(call: Callable[[], tuple[Tensor, ...]], device: torch.device) -> int:
    """Measure the most memory that tensors of a computation take at once.

    Args:
        call: The computation; it returns the tensors that remain.
        device: The device that it runs on.

    Returns:
        Bytes, without those from before the computation and those that remain.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        kept = call()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
        return peak - sum(tensor.numel() * tensor.element_size() for tensor in kept)
    # The profiler records every allocation and release, also those inside an operator.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        kept = call()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / 'trace.json'
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    changes = [event for event in events if event.get('name') == '[memory]']
    alive = peak = 0
    for event in sorted(changes, key=lambda event: event['ts']):
        alive += event['args']['Bytes']
        peak = max(peak, alive)
    del kept  # not earlier: its release would be recorded
    return peak - alive


def comparison(title: str, rows: Mapping[str, Mapping[str, float]]) -> tuple[str, list[float]]:
    """Compare two forms of a computation.

    Args:
        title: Title of the rows.
        rows: For each quantity, the values of the reference and of our form, by the forms' names.

    Returns:
        A table, and for each row our value as a share of the reference's.
    """
    one, other = next(iter(rows.values()))
    lines, ratios = [f'{title:<32}{one:>12}{other:>12}{"ratio":>8}'], []
    for name, row in rows.items():
        ratios.append(row[other] / max(row[one], 1e-12))
        lines.append(f'{name:<32}{row[one]:>12.4g}{row[other]:>12.4g}{ratios[-1]:>8.2f}')
    return '\n'.join(lines), ratios
