"""Loops, hooks, optimizer wrappers and the distributed wrapper."""

from mmseg_uda.engine import hooks, loops, optimizers
from mmseg_uda.engine.log_processor import TerminalLogProcessor
from mmseg_uda.engine.model_wrapper import UDADistributedDataParallel, average_buffers

__all__ = [
    'TerminalLogProcessor',
    'UDADistributedDataParallel',
    'average_buffers',
    'hooks',
    'loops',
    'optimizers',
]
