"""Training a method on several processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS  # mmengine looks wrappers up in its own registry
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.nn.modules.batchnorm import _NormBase

__all__ = ['UDADistributedDataParallel', 'average_buffers']


@torch.no_grad()
def average_buffers(module: nn.Module) -> None:
    """Replace running means and variances of norm layers by their means over the processes."""
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


@MODEL_WRAPPERS.register_module()
class UDADistributedDataParallel(MMDistributedDataParallel):
    """Runs each step of a method's losses through the wrapper's ``forward``.

    The stock wrapper never calls a module's ``train_step``; here it does, and hands itself in, so
    that every backward of the iteration is synchronised. After the step, batch-norm statistics are
    averaged, so that replicas (and hence validation on every process, and the checkpoint) agree.
    Works on CPU (gloo) as well.

    Args:
        module: A :class:`~mmseg_uda.models.uda.BaseUDASegmentor`.
        find_unused_parameters: True, because a step of the losses rarely touches all parameters.
        broadcast_buffers: False; see above.
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
            kwargs['device_ids'] = None  # the runner always gives one, torch then refuses
        super().__init__(
            module=module,
            find_unused_parameters=find_unused_parameters,
            broadcast_buffers=broadcast_buffers,
            **kwargs,
        )

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One iteration; see :meth:`BaseUDASegmentor.train_step`."""
        log_vars = self.module.train_step(data, optim_wrapper, forward=self)
        average_buffers(self.module)
        return log_vars
