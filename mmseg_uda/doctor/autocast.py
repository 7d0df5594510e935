"""Mixed precision on a CPU, as it is on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

__all__ = ['gpu_autocast']

# What autocast on a GPU computes in full precision, of the operations whose results are as large as
# feature maps; autocast on a CPU leaves them in half precision.
WIDENED = (
    'exp',
    'group_norm',
    'layer_norm',
    'log',
    'log_softmax.int',
    'pow.Tensor_Scalar',
    'softmax.int',
)
HALF = (torch.bfloat16, torch.float16)


@contextmanager
def gpu_autocast(dtype: torch.dtype) -> Iterator[None]:
    """Autocast tensors on this CPU by the rules for GPUs.

    Norms, softmax and logarithms of half precision give full precision, so that tensors have the
    sizes that they have on a GPU. Before torch 2.3 they have half of that.

    Args:
        dtype: Half precision, such as ``torch.bfloat16``.

    Examples:
        >>> import torch
        >>> from torch.nn.functional import linear, softmax
        >>> a = torch.ones(2, 3)
        >>> with gpu_autocast(torch.bfloat16):
        ...     energy = linear(a, a)
        ...     print(energy.dtype, softmax(energy, 1).dtype)
        torch.bfloat16 torch.float32
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     print(softmax(energy, 1).dtype)
        torch.bfloat16
    """
    scoped = getattr(torch.library, '_scoped_library', None)  # since torch 2.3
    with ExitStack() as stack:
        if scoped is not None:
            library = stack.enter_context(scoped('aten', 'IMPL'))
            for name in WIDENED:
                library.impl(name, _widened(name), 'AutocastCPU')
        stack.enter_context(torch.autocast('cpu', dtype))
        yield


def _widened(name: str) -> Any:
    """An operation that computes what it gets in half precision in full precision."""
    packet, _, overload = name.partition('.')
    operation = getattr(getattr(torch.ops.aten, packet), overload or 'default')

    def call(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast('cpu', enabled=False):
            return operation(*tree_map_only(Tensor, _widen, args), **kwargs)

    return call


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in HALF else tensor
