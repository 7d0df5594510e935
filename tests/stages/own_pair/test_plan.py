"""Crops and batches that fit the images and the memory."""

from __future__ import annotations

import pytest

from mmseg_uda.stages.own_pair.plan import NETWORKS, make_plan


@pytest.mark.parametrize(
    ('short_side', 'memory', 'on_gpu', 'expected'),
    [
        (1080, 24, True, (640, 512, 4)),
        (1080, 11, True, (640, 512, 2)),
        (1080, 8, True, (320, 256, 4)),
        (360, 24, True, (360, 352, 4)),
        (40, 24, True, (40, 32, 4)),
        (1080, 64, False, (320, 256, 2)),
    ],
)
def test_plan(short_side: int, memory: float, on_gpu: bool, expected: tuple[int, ...]) -> None:
    plan = make_plan(short_side, NETWORKS['r101'], memory, on_gpu)
    assert (plan.short_side, plan.crop, plan.batch_size) == expected
    assert plan.needed < 0.6 * memory
    assert plan.max_iters == (40000 if on_gpu else 2000)


def test_images_that_are_too_small() -> None:
    with pytest.raises(ValueError, match='expected images of at least 32 pixels, but got a side'):
        make_plan(20, NETWORKS['toy'], 8, False)
