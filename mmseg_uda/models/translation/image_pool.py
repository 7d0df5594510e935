"""Earlier translations for the discriminator."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_gather, get_rank, get_world_size
from torch import Generator, Tensor, nn

from mmseg_uda.utils.arguments import check_integer, expect

__all__ = ['ImagePool']


class ImagePool(nn.Module):
    """A pool of earlier translations, of which the discriminator sees some in place of new ones.

    While the pool is not full, it stores each image and returns it. Later, with probability 1/2, an
    image changes places with a random one of the pool, which is returned; otherwise it is returned
    and not stored (Shrivastava et al., `arXiv:1612.07828 <https://arxiv.org/abs/1612.07828>`_, as
    CycleGAN does it).

    All processes hold the same pool and put the images of all of them into it, in the order of
    their positions. So N processes draw what one process with the joint batch draws. The pool is in
    the checkpoint, and a resumed training goes on exactly.

    Args:
        size: Largest number of images; 0 for no pool.

    Attributes:
        images: The images, shape (size, C, H, W); empty before the first call.
        count: How many of them are stored, a scalar.

    Raises:
        ValueError: ``size`` is negative.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        check_integer('ImagePool.size', size, 0)
        self.size = size
        self.register_buffer('images', torch.empty(0))
        self.register_buffer('count', torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, images: Tensor, generators: list[Generator]) -> Tensor:
        """Exchange new images for earlier ones.

        Args:
            images: Shape (N, C, H, W), in fp32.
            generators: Random generator of each image.

        Returns:
            The same shape, without a graph.

        Raises:
            ValueError: Earlier images had another shape.
        """
        images = images.detach()
        if self.size == 0:
            return images
        if not self.images.numel():
            self.images = images.new_zeros(self.size, *images.shape[1:])
        if images.shape[1:] != self.images.shape[1:]:
            raise ValueError(
                f'ImagePool: expected images of shape {tuple(self.images.shape[1:])}, as the pool '
                f'holds, but got {tuple(images.shape[1:])}; write the same RandomCrop.crop_size '
                'for all images, or pool_size=0'
            )
        draws = torch.stack(
            [torch.rand(2, generator=each, device=images.device) for each in generators]
        )  # (N, 2)
        # Position i * W + r of the joint batch is image i of process r of W.
        joint = torch.stack(all_gather(images), 1).flatten(0, 1)  # (N * W, C, H, W)
        draws = torch.stack(all_gather(draws), 1).flatten(0, 1)
        shown = torch.stack([self._exchange(*pair) for pair in zip(joint, draws)])
        return shown[get_rank() :: get_world_size()]

    def _exchange(self, image: Tensor, draw: Tensor) -> Tensor:
        """Exchange one image (C, H, W); the host never reads a value."""
        full = self.count >= self.size
        slot = torch.where(full, (draw[1] * self.size).long(), self.count).view(1)
        earlier = self.images.index_select(0, slot)[0]
        swap = full & (draw[0] > 0.5)
        kept = torch.where(swap | ~full, image, earlier)
        self.images.index_copy_(0, slot, kept[None])
        self.count += ~full
        return torch.where(swap, earlier, image)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Resize the buffer to the images of the checkpoint."""
        stored = state_dict.get(f'{prefix}images')
        if stored is not None:
            expect(
                not stored.numel() or len(stored) == self.size,
                'CycleGAN.pool_size',
                f'{len(stored)}, as the checkpoint has',
                self.size,
            )
            self.images = self.images.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
