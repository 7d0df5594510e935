"""Precision of sums over many elements."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ['full_precision', 'widen']


def full_precision(values: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off for the device of a tensor; it knows no device ``meta``.

    Examples:
        >>> a, b = torch.rand(2, 2), torch.rand(2, 2)
        >>> with torch.autocast('cpu', torch.bfloat16), full_precision(a):
        ...     (a @ b).dtype
        torch.float32
    """
    if values.device.type == 'meta':
        return nullcontext()
    return torch.autocast(values.device.type, enabled=False)


def widen(values: Tensor) -> Tensor:
    """Cast half precision to fp32, and leave fp32 and fp64 as they are.

    Args:
        values: Any shape, floating point.

    Returns:
        The same values, in fp32 at least.

    Examples:
        >>> widen(torch.ones(2, dtype=torch.bfloat16))
        tensor([1., 1.])
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
