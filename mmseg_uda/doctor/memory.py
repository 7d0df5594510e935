"""Memory of a training, by calculation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ['Memory', 'estimate_memory', 'optimizer_type']

STATES = {'SGD': 1, 'Adam': 2, 'AdamW': 2}  # tensors per parameter that an optimizer keeps


class Memory(NamedTuple):
    """Bytes that a training needs at least.

    Args:
        weights: Parameters and buffers of the whole method, its teacher included.
        gradients: Gradients of what is trained.
        optimizer: State of the optimizers.
        activations: Outputs of all layers of one pass of the network.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return sum(self)

    def __str__(self) -> str:
        parts = ', '.join(f'{key} {value / 2**20:.0f}' for key, value in self._asdict().items())
        return f'{self.total / 2**20:.0f} MiB at least ({parts})'


def estimate_memory(
    model: nn.Module,
    images: tuple[int, int, int, int],
    optimizer: str = 'SGD',
    itemsize: int = 4,
) -> Memory:
    """Compute the memory of a training step; nothing is allocated.

    A step of this package's methods keeps the graph of about one pass at a time. What libraries
    use for workspaces and what an allocator wastes comes on top: 10 to 30 % on a GPU.

    Args:
        model: A model on the meta device, from :func:`mmseg_uda.config.building.build_model`.
        images: Shape (N, C, H, W) of the images of one pass.
        optimizer: Type of the optimizers.
        itemsize: Bytes of an activation; 2 for half precision.
    """
    network: Any = getattr(model, 'student', model)
    sizes: list[int] = []

    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not getattr(module, 'inplace', False):
            sizes.append(output.numel() * itemsize)

    leaves = [each for each in network.modules() if not list(each.children())]
    handles = [each.register_forward_hook(record) for each in leaves]
    try:
        with torch.no_grad(), torch.device('meta'):
            network(torch.empty(images, device='meta'))
    finally:
        for handle in handles:
            handle.remove()
    tensors = [*model.parameters(), *model.buffers()]
    trained = sum(_bytes(each) for each in model.parameters() if each.requires_grad)
    state = STATES.get(optimizer, 2) * trained
    return Memory(sum(map(_bytes, tensors)), trained, state, sum(sizes))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def optimizer_type(cfg: Mapping[str, Any]) -> str:
    """Give the type of the student's optimizer."""
    wrapper = cfg.get('optim_wrapper') or {}
    student = (wrapper.get('optimizers') or {}).get('student') or wrapper
    return str((student.get('optimizer') or {}).get('type', 'SGD'))
