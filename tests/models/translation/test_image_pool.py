"""The pool of earlier translations."""

from __future__ import annotations

import pytest
import torch
import toys
from torch import Tensor

from mmseg_uda.models.translation import ImagePool


def numbered(*values: int) -> Tensor:
    """Images of one value each, shape (N, 3, 2, 2)."""
    return torch.tensor(values).float().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


class SlowPool:
    """A list of numbers."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stored: list[int] = []

    def exchange(self, value: int, generator: torch.Generator) -> int:
        chance, which = torch.rand(2, generator=generator).tolist()
        if len(self.stored) < self.size:
            self.stored.append(value)
            return value
        if chance > 0.5:
            slot = int(which * self.size)
            earlier, self.stored[slot] = self.stored[slot], value
            return earlier
        return value


@pytest.mark.parametrize('size', [1, 2, 5])
@pytest.mark.parametrize('batch', [1, 3])
def test_is_the_slow_one(size: int, batch: int) -> None:
    pool, slow = ImagePool(size), SlowPool(size)
    exchanged = 0
    for i in range(12):
        values = range(i * batch, (i + 1) * batch)
        shown = pool(numbered(*values), toys.generators(batch, seed=i))[:, 0, 0, 0].tolist()
        expected = [slow.exchange(*pair) for pair in zip(values, toys.generators(batch, seed=i))]
        assert shown == expected
        assert pool.images[: len(slow.stored), 0, 0, 0].tolist() == slow.stored
        assert pool.count.item() == len(slow.stored)
        exchanged += shown != list(values)
    assert exchanged > 0


def test_without_a_pool_images_pass() -> None:
    images = numbered(1, 2).requires_grad_()
    shown = ImagePool(0)(images, [])
    assert shown.equal(images)
    assert not shown.requires_grad


def test_state_is_in_the_checkpoint() -> None:
    pool, other = ImagePool(2), ImagePool(2)
    pool(numbered(1, 2, 3), toys.generators(3))
    other.load_state_dict(pool.state_dict())
    for i in range(5):
        shown = [each(numbered(10 + i), toys.generators(1, seed=i)) for each in (pool, other)]
        assert shown[0].equal(shown[1])
    with pytest.raises(ValueError, match='CycleGAN.pool_size: expected 2, as the checkpoint has'):
        ImagePool(3).load_state_dict(pool.state_dict())


def test_sizes_must_agree() -> None:
    pool = ImagePool(2)
    pool(numbered(1), toys.generators(1))
    with pytest.raises(ValueError, match='write the same RandomCrop.crop_size for all images'):
        pool(torch.zeros(1, 3, 2, 4), toys.generators(1))
