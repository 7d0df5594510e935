"""The prototypes of a method: distances of pixels from them, their update, their start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather, get_world_size
from torch import Tensor, nn

from mmseg_uda.artifacts.prototypes import PrototypeFile
from mmseg_uda.models.layers import moving_average, prototype_distances
from mmseg_uda.utils.arguments import expect

__all__ = ['Prototypes']


class Prototypes(nn.Module):
    r"""Prototypes :math:`\mu` of a network's classes, as buffers, so that checkpoints have them.

    Args:
        num_classes: C.
        channels: A, channels of the features.
        file: File of the stage ``prototypes``, from which they start; None starts with the first
            images of the training.
        momentum: Weight of a new mean, in [0, 1], see :func:`moving_average`.
        tau: Temperature :math:`\tau`, above 0.
    """

    values: Tensor
    counts: Tensor

    def __init__(
        self,
        num_classes: int,
        channels: int,
        file: str | None = None,
        momentum: float = 1e-4,
        tau: float = 1.0,
    ) -> None:
        super().__init__()
        self.file = file
        self.momentum = momentum
        self.tau = tau
        self.register_buffer('values', torch.zeros(num_classes, channels))
        self.register_buffer('counts', torch.zeros(num_classes, dtype=torch.int64))
        self._started = file is None

    def logits(self, features: Tensor) -> Tensor:
        r"""Compute :math:`-d / \tau` of pixels, whose softmax is their assignment to prototypes.

        Args:
            features: Shape (N, A, h, w).

        Returns:
            Shape (N, C, h, w), without a gradient to the prototypes.

        Raises:
            FileNotFoundError: The file does not exist, and no checkpoint gave prototypes.
        """
        if not self._started:
            raise FileNotFoundError(
                f'Prototypes.file: expected the file of a stage `prototypes`, but {self.file} does '
                'not exist; run that stage first, or write prototypes=None to start without'
            )
        return -prototype_distances(features, self.values, self.counts > 0) / self.tau

    def update(self, means: Tensor, found: Tensor) -> None:
        """Move to the mean features of images, in the order of the joint batch of all processes.

        Args:
            means: Shape (N, C, A).
            found: Which of them exist, shape (N, C).
        """
        if get_world_size() > 1:
            # Image i of process r is image i * world_size + r of the joint batch.
            means, found = (
                torch.stack(all_gather(part.contiguous()), 1).flatten(0, 1)
                for part in (means, found.to(means.dtype))
            )
        self.values, self.counts = moving_average(
            self.values, self.counts, means, found.bool(), self.momentum
        )

    def init_weights(self) -> None:
        """Read the file.

        A missing one is an error only when it is needed: a run that resumes has prototypes in its
        checkpoint, which is read after this call.

        Raises:
            ValueError: The file has other classes or features.
        """
        if self.file is None or not Path(self.file).is_file():
            return
        found = PrototypeFile.read(self.file)
        expect(
            found.values.shape == self.values.shape,
            f'Prototypes.file: {self.file}',
            f'prototypes of (classes, channels) {tuple(self.values.shape)}',
            found.values.shape,
        )
        self.values.copy_(torch.from_numpy(found.values))
        self.counts.copy_(torch.from_numpy(found.counts))
        self._started = True

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        self._started |= f'{prefix}counts' in state_dict
        super()._load_from_state_dict(state_dict, prefix, *args)
