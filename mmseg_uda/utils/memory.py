"""How much memory a computation needs at most."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

__all__ = ['peak_memory']


def peak_memory(call: Callable[[], tuple[Tensor, ...]], device: torch.device) -> int:
    """Most bytes of tensors that are alive at once beyond what was before and what stays.

    Args:
        call: What to measure; gives the tensors that stay.
        device: Where it computes.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        kept = call()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
        return peak - sum(tensor.numel() * tensor.element_size() for tensor in kept)
    # Every allocation and release of the allocator, also those inside an operator.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        kept = call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    changes = sorted(
        (
            (event['ts'], event['args']['Bytes'])
            for event in events
            if event.get('name') == '[memory]'
        ),
        key=lambda change: change[0],
    )
    alive = peak = 0
    for _, change in changes:
        alive += change
        peak = max(peak, alive)
    del kept
    return peak - alive
