"""Masks of blocks, by loops over pixels."""

from __future__ import annotations

import pytest
import torch
import toys

from mmseg_uda.datasets.batch_transforms import BlockMask
from mmseg_uda.datasets.batch_transforms.base import derive_generators
from mmseg_uda.datasets.batch_transforms.block_mask import block_masks


@pytest.mark.parametrize(
    ('size', 'block_size', 'grid'),
    [
        ((32, 48), 8, (4, 6)),
        ((20, 28), 8, (2, 4)),  # 2.5 and 3.5, rounded to the even number
        ((35, 13), 10, (4, 1)),
        ((4, 4), 64, (1, 1)),
    ],
)
def test_by_loops(size: tuple[int, int], block_size: int, grid: tuple[int, int]) -> None:
    images = torch.empty(3, 3, *size)
    masks = block_masks(images, block_size, 0.6, toys.generators(3))
    assert masks.shape == (3, 1, *size)
    for n, generator in enumerate(toys.generators(3)):
        values = torch.rand(1, *grid, generator=generator)[0]
        for y in range(size[0]):
            for x in range(size[1]):
                value = values[y * grid[0] // size[0], x * grid[1] // size[1]]
                assert masks[n, 0, y, x] == float(value > 0.6)


@pytest.mark.parametrize('ratio', [0.0, 0.3, 0.7, 1.0])
def test_share_that_is_masked(ratio: float) -> None:
    masks = block_masks(torch.empty(4, 3, 320, 320), 8, ratio, toys.generators(4))
    assert float(1 - masks.mean()) == pytest.approx(ratio, abs=0.02)
    if 0 < ratio < 1:
        assert not masks[0].equal(masks[1])


def test_kept_pixels_are_unchanged_and_others_are_the_mean() -> None:
    images = torch.randn(2, 3, 32, 48)
    masked = BlockMask(8, 0.5)(images, toys.generators(2))
    kept = block_masks(images, 8, 0.5, toys.generators(2)).bool().expand_as(images)
    assert masked[kept].equal(images[kept])
    assert masked[~kept].eq(0).all()
    assert 0 < kept.float().mean() < 1


def test_generators_of_a_further_use() -> None:
    given = toys.generators(2)
    before = [each.get_state() for each in given]
    first, second = derive_generators(given, 1), derive_generators(given, 2)
    torch.rand(9, generator=given[0])
    again = derive_generators(given, 1)
    numbers = [[torch.rand((), generator=each).item() for each in use] for use in (first, second)]
    assert [torch.rand((), generator=each).item() for each in again] == numbers[0]
    assert len({*numbers[0], *numbers[1]}) == 4
    assert given[1].get_state().equal(before[1])


@pytest.mark.parametrize('changes', [dict(block_size=0), dict(ratio=1.1), dict(block_size=1.5)])
def test_wrong_arguments(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f'BlockMask.{next(iter(changes))}: '):
        BlockMask(**changes)
