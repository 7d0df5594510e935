"""Order of weights and feature maps in memory."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ['use_channels_last']


def use_channels_last(model: nn.Module) -> None:
    """Keep a model's weights, and hence its feature maps, with channels innermost in memory.

    The arithmetic stays the same, and convolutions are faster on a CPU and in half precision.

    Args:
        model: The model, on the device on which it is trained.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if next(model.parameters()).device.type != 'cpu':
        return
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
            # On one thread, PyTorch computes 1x1 convolutions of small batches by a product of
            # matrices, half as fast as oneDNN, unless they are dilated; one pixel cannot be.
            layer.dilation = (2, 2)
