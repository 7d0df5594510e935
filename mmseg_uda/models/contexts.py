"""States of a network that last for a block of code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ['DomainAware', 'frozen', 'frozen_bn_stats', 'set_domain']


class DomainAware(nn.Module):
    """A layer that treats the images of one domain otherwise than those of another."""

    domain = 'target'
    """Whose images it sees: of the ``'target'`` in every test, of others within `set_domain`."""


@contextmanager
def set_domain(module: nn.Module, domain: str) -> Iterator[None]:
    """Passes inside are of one domain's images."""
    layers = [layer for layer in module.modules() if isinstance(layer, DomainAware)]
    before = [layer.domain for layer in layers]
    for layer in layers:
        layer.domain = domain
    try:
        yield
    finally:
        for layer, name in zip(layers, before):
            layer.domain = name


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Graphs built inside do not reach the module's parameters (but pass through it)."""
    trainable = [param for param in module.parameters() if param.requires_grad]
    for param in trainable:
        param.requires_grad_(False)
    try:
        yield
    finally:
        for param in trainable:
            param.requires_grad_(True)


@contextmanager
def frozen_bn_stats(module: nn.Module) -> Iterator[None]:
    """Batch norm normalises as ever, but its running statistics stay what they are."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
