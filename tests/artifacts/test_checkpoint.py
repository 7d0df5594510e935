"""What tells a network's weights from another's."""

from __future__ import annotations

import torch
from torch import nn

from mmseg_uda.artifacts.checkpoint import describe_mismatch


def test_misfit() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    state = {f'student.{key}': value for key, value in network.state_dict().items()}
    assert describe_mismatch(network, state, 'student.') == ''
    assert describe_mismatch(network, state).startswith(
        '6 of 7 tensors are missing or of another shape, the first is 0.weight'
    )
    del state['student.1.num_batches_tracked']
    state['student.1.running_mean'] = torch.zeros(9)  # a buffer may have another size
    assert describe_mismatch(network, state, 'student.') == ''
    state['student.1.weight'] = torch.zeros(9)
    assert describe_mismatch(network, state, 'student.').endswith(
        '1 of 7 tensors are missing or of another shape, the first is student.1.weight'
    )
