"""Channels innermost in memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmseg_uda.models.memory_format import one_dnn_dilates, use_channels_last


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.Conv2d(6, 4, 1, stride=2)
    )


def results(model: nn.Module) -> list[Tensor]:
    images = torch.linspace(-1, 1, 2 * 3 * 48 * 64).sin().view(2, 3, 48, 64)
    model.zero_grad()
    output = model(images.requires_grad_())
    output.square().mean().backward()
    return [output, images.grad, *(each.grad for each in model.parameters())]


@pytest.mark.skipif(not one_dnn_dilates(), reason='PyTorch 2.13 crashes on this CPU')
def test_results_stay() -> None:
    model = network()
    expected = results(model)
    use_channels_last(model)
    for got, value in zip(results(model), expected, strict=True):
        torch.testing.assert_close(got, value)


@pytest.mark.skipif(not one_dnn_dilates(), reason='oneDNN crashes on this CPU')
def test_one_dnn_computes_small_kernels_on_one_thread() -> None:
    """The reason for the dilation: without it, PyTorch takes another way."""
    assert torch.backends.mkldnn.is_available()
    model = network()
    use_channels_last(model)
    assert [each.dilation for each in model if isinstance(each, nn.Conv2d)] == [
        (1, 1),
        (2, 2),
        (2, 2),
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.profiler.profile() as profile:
            results(model)
    finally:
        torch.set_num_threads(threads)
    names = [event.key for event in profile.key_averages() for _ in range(event.count)]
    assert names.count('aten::mkldnn_convolution') == 3
    assert not [name for name in names if 'slow_conv' in name]


def test_other_devices_keep_their_dilation() -> None:
    model = network().to('meta')
    use_channels_last(model)
    assert {each.dilation for each in model if isinstance(each, nn.Conv2d)} == {(1, 1)}
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
