"""Detail crops and slides, by loops over pixels."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.layers.detail_crops import Slides, draw_crops, to_size
from mmseg_uda.structures import Crops


def starts(side: int, size: int, step: int) -> list[int]:
    """First rows of slides, the last one moved back inside."""
    found = [0]
    while found[-1] + size < side:
        found.append(min(found[-1] + step, side - size))
    return found


@pytest.mark.parametrize(
    ('sides', 'size', 'step'),
    [
        ((32, 48), (16, 24), (8, 8)),
        ((40, 48), (16, 24), (8, 16)),  # the last row of slides is moved back
        ((16, 24), (16, 24), (8, 8)),  # one slide
        ((8, 48), (16, 24), (8, 24)),  # images lower than slides; no overlap
        ((64, 24), (24, 24), (24, 24)),
    ],
)
def test_slides_by_loops(
    sides: tuple[int, int], size: tuple[int, int], step: tuple[int, int]
) -> None:
    images = torch.randn(2, 3, *sides, dtype=torch.float64)
    slides = Slides(2, sides, size, step, divisor=8)
    height, width = slides.size
    assert (height, width) == (min(sides[0], size[0]), min(sides[1], size[1]))
    corners = list(product(starts(sides[0], height, step[0]), starts(sides[1], width, step[1])))
    expected = [
        images[i, :, top : top + height, left : left + width]
        for i in range(2)
        for top, left in corners
    ]
    assert slides.cut(images).equal(torch.stack(expected))

    # On a grid of one position per 4 pixels.
    fine = slides.scaled(8, 2)
    assert fine.size == (height // 4, width // 4)
    maps = torch.randn(2 * len(corners), 5, *fine.size, dtype=torch.float64, requires_grad=True)
    placed = fine.place(maps, (sides[0] // 4, sides[1] // 4))
    total, count = torch.zeros_like(placed), torch.zeros_like(placed)
    for index in range(len(maps)):
        i, (top, left) = index // len(corners), corners[index % len(corners)]
        for y, x in product(range(fine.size[0]), range(fine.size[1])):
            total[i, :, top // 4 + y, left // 4 + x] += maps[index, :, y, x].detach()
            count[i, :, top // 4 + y, left // 4 + x] += 1
    assert count.min() == 1
    assert_close(placed, total / count)
    weight = torch.randn_like(placed)
    (placed * weight).sum().backward()
    for index in (0, len(maps) - 1):
        i, (top, left) = index // len(corners), corners[index % len(corners)]
        rows, columns = (slice(s // 4, s // 4 + n) for s, n in zip((top, left), fine.size))
        assert_close(maps.grad[index], (weight / count)[i, :, rows, columns])


def test_slides_of_ones_image_average_to_it() -> None:
    """The pieces of a map give the map."""
    images = torch.randn(2, 3, 40, 48)
    slides = Slides(2, (40, 48), (16, 24), (8, 16), divisor=8)
    assert_close(slides.place(slides.cut(images), (40, 48)), images)


def test_crops_by_loops() -> None:
    crops = Crops([(8, 0), (16, 24)], (16, 24))
    maps = torch.randn(2, 5, 32, 48)
    assert crops.cut(maps).equal(torch.stack([maps[0, :, 8:24, :24], maps[1, :, 16:, 24:]]))
    coarse = crops.scaled(8)
    assert coarse == Crops([(1, 0), (2, 3)], (2, 3))
    assert crops.scaled(8, 2) == Crops([(2, 0), (4, 6)], (4, 6))
    small = torch.randn(2, 5, 2, 3, dtype=torch.float64, requires_grad=True)
    placed = coarse.place(small, (4, 6))
    expected = torch.zeros(2, 5, 4, 6, dtype=torch.float64)
    expected[0, :, 1:3, :3], expected[1, :, 2:, 3:] = small[0].detach(), small[1].detach()
    assert placed.equal(expected)
    assert torch.autograd.gradcheck(lambda x: coarse.place(x, (4, 6)), small)
    whole = torch.ones(2, 1, 4, 6)
    assert coarse.restrict(whole).sum() == 12
    labels = torch.arange(2 * 32 * 48).view(2, 32, 48)  # maps without channels, too
    assert crops.cut(labels).equal(torch.stack([labels[0, 8:24, :24], labels[1, 16:, 24:]]))


def test_corners_reach_both_ends() -> None:
    """Uniform over all multiples of 8, the last one included."""
    crops = draw_crops(torch.empty(3000, 1, 32, 48), (16, 24), 8, range(3000))
    rows, columns = (Counter(values) for values in zip(*crops.corners))
    assert sorted(rows) == [0, 8, 16]
    assert sorted(columns) == [0, 8, 16, 24]
    assert all(900 < number < 1100 for number in rows.values())
    assert all(650 < number < 850 for number in columns.values())


def test_crops_follow_from_seed_and_pass() -> None:
    images = torch.empty(4, 3, 128, 128)

    def corners(name: str, *seeds: int) -> list[tuple[int, int]]:
        return draw_crops(images[: len(seeds)], (64, 64), 8, seeds, name).corners

    torch.manual_seed(0)
    both = corners('mix', 3, 4)
    torch.manual_seed(1)
    assert corners('mix', 3) + corners('mix', 4) == both
    assert corners('source', 3, 4) != both
    torch.manual_seed(2)
    unseeded = draw_crops(images, (64, 64), 8).corners
    assert draw_crops(images, (64, 64), 8).corners != unseeded
    torch.manual_seed(2)
    assert draw_crops(images, (64, 64), 8).corners == unseeded


@pytest.mark.parametrize('sides', [(60, 64), (64, 36), (56, 64)])
def test_images_that_do_not_fit(sides: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match='detail_size: expected images of at least .* 8 divides'):
        draw_crops(torch.empty(1, 3, *sides), (64, 64), 8)


def test_resize_to_the_same_size() -> None:
    maps: Tensor = torch.randn(1, 2, 4, 6)
    assert to_size(maps, (4, 6)) is maps
    assert to_size(torch.arange(4.0).view(1, 1, 1, 4), (1, 2)).flatten().tolist() == [0.5, 2.5]
