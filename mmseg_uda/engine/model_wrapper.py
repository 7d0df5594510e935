"""The data-parallel wrapper of methods, and of stock segmentors on CPUs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

import torch
import torch.distributed as dist
import torch.utils.checkpoint
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS  # the runner looks wrappers up in this one only
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.nn.modules.batchnorm import _NormBase

__all__ = ['UDADistributedDataParallel', 'average_buffers', 'flat_checkpoints']


@torch.no_grad()
def average_buffers(module: nn.Module) -> None:
    """Average the running means and variances of all norm layers over the processes, in place."""
    # One tensor per dtype needs one message instead of one per buffer.
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for layer in module.modules():
        for buffer in layer.buffers(recurse=False) if isinstance(layer, _NormBase) else ():
            if buffer.is_floating_point():
                by_dtype.setdefault(buffer.dtype, []).append(buffer)
    for buffers in by_dtype.values():
        flat = _flatten_dense_tensors(buffers)  # type: ignore[no-untyped-call]
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        means = _unflatten_dense_tensors(flat, buffers)  # type: ignore[no-untyped-call]
        for buffer, mean in zip(buffers, means):
            buffer.copy_(mean)


@contextmanager
def flat_checkpoints() -> Iterator[None]:
    """Make checkpoints whose recomputation is no backward pass inside of the backward pass.

    Backbones of mmseg (``with_cp=True``) do not say which kind they want. PyTorch's default is the
    nested one, with which a data-parallel wrapper sees some parameters twice, and fails.
    """
    stock = torch.utils.checkpoint.checkpoint

    def checkpoint(*args: Any, **kwargs: Any) -> Any:
        return stock(*args, **{'use_reentrant': False, **kwargs})

    torch.utils.checkpoint.checkpoint = checkpoint
    try:
        yield
    finally:
        torch.utils.checkpoint.checkpoint = stock


@MODEL_WRAPPERS.register_module()
class UDADistributedDataParallel(MMDistributedDataParallel):
    """Trains a method, or a stock segmentor, on several processes.

    The stock wrapper never calls a module's ``train_step``. This one calls a method's, and passes
    itself as ``forward``, so that every backward of the iteration is synchronised. After the step,
    batch-norm statistics are averaged, so that all processes validate and save the same model.
    Works on CPUs (gloo) as well.

    Args:
        module: A :class:`~mmseg_uda.models.stepwise.StepwiseModel` or a segmentor of mmseg.
        find_unused_parameters: True by default, as one step of the losses rarely reaches all
            parameters.
        broadcast_buffers: False by default, as statistics are averaged instead.
        kwargs: As for :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def __init__(
        self,
        module: nn.Module,
        find_unused_parameters: bool = True,
        broadcast_buffers: bool = False,
        **kwargs: Any,
    ) -> None:
        if next(module.parameters()).device.type == 'cpu':
            kwargs['device_ids'] = None  # the runner passes one, which torch refuses on a CPU
        super().__init__(
            module=module,
            find_unused_parameters=find_unused_parameters,
            broadcast_buffers=broadcast_buffers,
            **kwargs,
        )

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Run one iteration; see :meth:`StepwiseModel.train_step`."""
        with flat_checkpoints():
            if getattr(self.module, 'takes_domains', False):
                log_vars = self.module.train_step(data, optim_wrapper, forward=self)
            else:
                log_vars = super().train_step(data, optim_wrapper)
        average_buffers(self.module)
        return log_vars
