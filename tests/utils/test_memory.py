from __future__ import annotations

import torch

from mmseg_uda.utils.memory import peak_memory


def test_peak_memory_is_exact() -> None:
    def call() -> tuple[torch.Tensor, ...]:
        scratch = torch.ones(1000)
        scratch = scratch + torch.ones(1000)  # three of them for a moment
        return (scratch[:10].clone(),)

    # What stays does not count, but it is not there yet when the peak is reached.
    assert peak_memory(call, torch.device('cpu')) == 3 * 4000 - 40
