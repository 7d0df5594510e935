"""Means over the pixels of all processes."""

from __future__ import annotations

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

__all__ = ['divide']


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
    count = count.to(total.dtype)
    if get_world_size() > 1:
        count = count.clone()  # all_reduce writes into it
        all_reduce(count, op='mean')
    # `where` on the device: `if count` would make the host wait for it.
    return total / count.where(count > 0, count.new_ones(()))
