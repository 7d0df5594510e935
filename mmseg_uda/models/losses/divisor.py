"""Sums and means over all processes."""

from __future__ import annotations

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

__all__ = ['divide', 'reduce_over_processes']


def reduce_over_processes(value: Tensor, op: str = 'mean') -> Tensor:
    """Reduce a tensor over all processes, which must all call this function.

    Args:
        value: A tensor without a graph.
        op: ``'mean'``, ``'sum'``, ``'min'`` or ``'max'``.

    Returns:
        A tensor of the same shape; ``value`` itself with a single process.

    Example:
        >>> import torch
        >>> reduce_over_processes(torch.tensor([1.0, 2.0]), 'max')  # of one process
        tensor([1., 2.])
    """
    if get_world_size() == 1:
        return value
    value = value.clone()  # all_reduce writes into it
    all_reduce(value, op=op)
    return value


def divide(total: Tensor, count: Tensor) -> Tensor:
    """Divide a sum over pixels by their number; 0 where there are none.

    With several processes the divisor is the mean of their counts. The mean of their gradients, as
    DDP takes it, is then the gradient of one process with the joint batch. All processes must call
    this function, because it communicates.

    Args:
        total: Sum over pixels, a scalar.
        count: Number of pixels, a scalar without a graph.

    Returns:
        A scalar in the dtype of ``total``.

    Examples:
        >>> import torch
        >>> divide(torch.tensor(6.0), torch.tensor(4)), divide(torch.tensor(0.0), torch.tensor(0))
        (tensor(1.5000), tensor(0.))
    """
    count = reduce_over_processes(count.to(total.dtype))
    # `where` on the device: `if count` would make the host wait for it.
    return total / count.where(count > 0, count.new_ones(()))
