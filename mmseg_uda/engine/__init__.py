"""Loops, hooks, optimizer wrappers and the distributed wrapper."""

from . import hooks, loops, optimizers
from .model_wrapper import UDADistributedDataParallel, average_buffers

__all__ = ['UDADistributedDataParallel', 'average_buffers', 'hooks', 'loops', 'optimizers']
