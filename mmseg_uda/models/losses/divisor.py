"""Means over pixels that are means over all processes' pixels."""

from __future__ import annotations

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

__all__ = ['divide']


def divide(total: Tensor, count: Tensor) -> Tensor:
    """A sum over pixels by their number, or 0 where there are none.

    Processes whose images have different numbers of labelled pixels share the mean number: the mean
    of their gradients is then that of one process with the joint batch. They all must come here.

    Args:
        total: A scalar.
        count: A scalar, without a graph.
    """
    count = count.to(total.dtype)
    if get_world_size() > 1:
        count = count.clone()
        all_reduce(count, op='mean')
    return total / count.where(count > 0, count.new_ones(()))
