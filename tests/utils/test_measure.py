"""Time and memory of computations."""

from __future__ import annotations

import time

import pytest
import torch

from mmseg_uda.utils.measure import (
    clock_name,
    comparison,
    describe_machine,
    paired_times,
    peak_memory,
)

CPU = torch.device('cpu')


def test_peak_memory_is_exact() -> None:
    def call() -> tuple[torch.Tensor, ...]:
        scratch = torch.ones(1000)
        scratch = scratch + torch.ones(1000)  # three of them for a moment
        return (scratch[:10].clone(),)

    # What stays does not count, but it is not there yet when the peak is reached.
    assert peak_memory(call, CPU) == 3 * 4000 - 40


def test_computations_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that each call sets forward; the warm-up is not in the times."""
    now, order = [0.0], []
    monkeypatch.setattr(time, 'process_time', lambda: now[0])

    def advance(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds * len(order)

    calls = dict(a=lambda: advance('a', 1.0), b=lambda: advance('b', 10.0))
    times = paired_times(calls, CPU, repeat=2, warm_up=1)
    assert order == ['a', 'b'] * 3
    assert times == dict(a=[3.0, 5.0], b=[40.0, 60.0])
    assert clock_name(CPU) == 'processor time'
    assert clock_name(torch.device('cuda')) == 'elapsed'


def test_comparison() -> None:
    rows = dict(memory=dict(naive=200.0, ours=50.0), time=dict(naive=2.0, ours=3.0))
    table, ratios = comparison('forward', rows)
    assert ratios == [0.25, 1.5]
    assert [line.split() for line in table.splitlines()] == [
        ['forward', 'naive', 'ours', 'ratio'],
        ['memory', '200', '50', '0.25'],
        ['time', '2', '3', '1.50'],
    ]


def test_machine() -> None:
    threads = torch.get_num_threads()
    assert describe_machine(CPU) == f'torch {torch.__version__}, CPU, {threads} thread(s)'
