"""Iterations that share a step of the optimizers, whose gradients are in no checkpoint."""

from __future__ import annotations

from typing import Any

from mmengine.runner import Runner

__all__ = ['ends_with_a_step', 'iterations_per_step']


def iterations_per_step(optim_wrapper: Any) -> int:
    """Return ``accumulative_counts``, of a :class:`JointOptimWrapperDict` or of a stock wrapper."""
    stock = getattr(optim_wrapper, '_accumulative_counts', 1)
    return int(getattr(optim_wrapper, 'accumulative_counts', stock))


def ends_with_a_step(runner: Runner, iterations: int) -> bool:
    """Tell whether the optimizers step after so many iterations, as they do after the last one."""
    counts = iterations_per_step(runner.optim_wrapper)
    return iterations % counts == 0 or iterations == runner.max_iters
