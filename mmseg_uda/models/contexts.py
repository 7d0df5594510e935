"""States of a network that last for a block of code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ['DomainAware', 'frozen', 'frozen_bn_stats', 'set_domain']


class DomainAware(nn.Module):
    """A layer whose behaviour depends on the domain of its input."""

    domain = 'target'
    """Domain of the input: ``'target'`` at test time, another one inside :func:`set_domain`."""


@contextmanager
def set_domain(module: nn.Module, domain: str) -> Iterator[None]:
    """Tell all :class:`DomainAware` layers that the passes inside are of one domain."""
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
    """Build graphs that pass through a module without reaching its parameters."""
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
    """Keep the running statistics of batch norm; normalisation itself does not change."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # new = (1 - momentum) * old + momentum * batch
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
