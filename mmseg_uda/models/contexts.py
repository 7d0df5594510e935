"""States of a network that last for a block of code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = [
    'DomainAware',
    'MaskableTokens',
    'batch_norms',
    'capture_inputs',
    'frozen',
    'frozen_bn_stats',
    'mask_tokens',
    'set_domain',
]


class DomainAware(nn.Module):
    """A layer whose behaviour depends on the domain of its input."""

    domain = 'target'
    """Domain of the input: ``'target'`` at test time, another one inside :func:`set_domain`."""


class MaskableTokens(nn.Module):
    """The end of a patch embedding, where tokens can be masked before positions are added.

    Args:
        norm: The embedding's norm, which comes first.
    """

    mask: Callable[[Tensor], Tensor] | None = None
    """Function of maps of tokens (N, C, h, w); another one than None inside :func:`mask_tokens`."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, tokens: Tensor) -> Tensor:
        """Norm and mask tokens (N, h, w, C)."""
        tokens = self.norm(tokens)
        if self.mask is None:
            return tokens
        return self.mask(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@contextmanager
def capture_inputs(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the first input of each call of a module inside the block.

    Compiled networks run as they are there (since torch 2.6), as compiled code calls no hook that
    came later.
    """
    inputs: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    stance = getattr(torch.compiler, 'set_stance', lambda _: nullcontext())
    try:
        with stance('force_eager'):
            yield inputs
    finally:
        handle.remove()


@contextmanager
def _override(objects: Iterable[Any], name: str, value: object) -> Iterator[None]:
    """Set an attribute of several objects, and restore it after the block."""
    before = [(each, getattr(each, name)) for each in objects]
    for each, _ in before:
        setattr(each, name, value)
    try:
        yield
    finally:
        for each, own in before:
            setattr(each, name, own)


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """Find all layers of batch norm, in the order of the module."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def set_domain(module: nn.Module, domain: str) -> AbstractContextManager[None]:
    """Tell all :class:`DomainAware` layers that the passes inside are of one domain."""
    layers = [layer for layer in module.modules() if isinstance(layer, DomainAware)]
    return _override(layers, 'domain', domain)


def mask_tokens(
    module: nn.Module, mask: Callable[[Tensor], Tensor]
) -> AbstractContextManager[None]:
    """Mask the tokens of all :class:`MaskableTokens` layers by a function of (N, C, h, w)."""
    layers = [layer for layer in module.modules() if isinstance(layer, MaskableTokens)]
    return _override(layers, 'mask', mask)


def frozen(module: nn.Module) -> AbstractContextManager[None]:
    """Build graphs that pass through a module without reaching its parameters."""
    trainable = [param for param in module.parameters() if param.requires_grad]
    return _override(trainable, 'requires_grad', False)


def frozen_bn_stats(module: nn.Module) -> AbstractContextManager[None]:
    """Keep the running statistics of batch norm; normalisation itself does not change."""
    layers = batch_norms(module)
    # new = (1 - momentum) * old + momentum * batch
    return _override(layers, 'momentum', 0.0)
