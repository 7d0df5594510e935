"""Channels innermost in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmseg_uda.models.memory_format import use_channels_last


def network() -> nn.Sequential:
    torch.manual_seed(0)
    # Multiples of 8 channels: on CPUs without AVX-512, PyTorch 2.13 and 2.14 crash in the backward
    # pass of a strided 1x1 convolution from 6 to 4, dilated or not.
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 8, 1, stride=2)
    )


def results(model: nn.Module) -> list[Tensor]:
    images = torch.linspace(-1, 1, 2 * 3 * 48 * 64).sin().view(2, 3, 48, 64)
    model.zero_grad()
    output = model(images.requires_grad_())
    output.square().mean().backward()
    return [output, images.grad, *(each.grad for each in model.parameters())]


def test_results_stay() -> None:
    model = network()
    expected = results(model)
    use_channels_last(model)
    for got, value in zip(results(model), expected, strict=True):
        torch.testing.assert_close(got, value)


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
