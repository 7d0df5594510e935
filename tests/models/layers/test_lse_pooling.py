"""Log-sum-exp pooling: its values, its limits, and that chunks change nothing."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from mmseg_uda.models.layers import lse_pool, pool_upsampled
from mmseg_uda.utils.measure import peak_memory


def slow_pool(maps: Tensor, r: float, inv_r: bool, valid: Tensor | None) -> Tensor:
    """Eq. (1), pixel by pixel."""
    pooled = torch.zeros(maps.shape[:2], dtype=maps.dtype)
    for n in range(maps.shape[0]):
        for c in range(maps.shape[1]):
            total, count = torch.zeros((), dtype=maps.dtype), 0
            for i in range(maps.shape[2]):
                for j in range(maps.shape[3]):
                    if valid is None or valid[n, i, j]:
                        total, count = total + math.e ** (r * maps[n, c, i, j]), count + 1
            pooled[n, c] = torch.log(total / count) / (r if inv_r else 1)
    return pooled


@pytest.mark.parametrize('inv_r', [False, True])
@pytest.mark.parametrize('r', [0.5, 1.0, 1.5])
@pytest.mark.parametrize('masked', [False, True])
def test_values_and_gradients(r: float, inv_r: bool, masked: bool) -> None:
    maps = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    valid = torch.rand(2, 3, 4) > 0.5 if masked else None
    found, expected = lse_pool(maps, r, inv_r, valid), slow_pool(maps, r, inv_r, valid)
    assert_close(found, expected)
    weight = torch.randn_like(found)
    gradients = [
        torch.autograd.grad((value * weight).sum(), maps)[0] for value in (found, expected)
    ]
    assert_close(*gradients)
    assert torch.autograd.gradcheck(lambda x: lse_pool(x, r, inv_r, valid), (maps,))


def test_by_hand() -> None:
    maps = torch.tensor([0.0, math.log(3)]).reshape(1, 1, 1, 2)
    assert_close(lse_pool(maps, 1), torch.tensor([[math.log(2)]]))
    assert_close(lse_pool(maps, 2), torch.tensor([[math.log(5)]]))
    assert_close(lse_pool(maps, 2, inv_r=True), torch.tensor([[math.log(5) / 2]]))
    valid = torch.tensor([[[False, True]]])
    assert_close(lse_pool(maps, 2, valid=valid), torch.tensor([[2 * math.log(3)]]))
    # An image without a valid pixel is pooled as a whole.
    assert_close(lse_pool(maps, 1, valid=~valid & valid), torch.tensor([[math.log(2)]]))


def test_between_mean_and_maximum_and_monotone_in_r() -> None:
    maps = 3 * torch.randn(4, 5, 6, 7, dtype=torch.float64)
    mean, largest = maps.mean((2, 3)), maps.amax((2, 3))
    pooled = [lse_pool(maps, r, inv_r=True) for r in (1e-4, 0.1, 0.5, 1, 1.5, 5, 1e4)]
    for smaller, larger in zip([mean, *pooled], [*pooled, largest]):
        assert (smaller <= larger).all()
    assert_close(pooled[0], mean, atol=1e-2, rtol=0)
    assert_close(pooled[-1], largest, atol=1e-2, rtol=0)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('size', [1e4, -1e4])
def test_no_overflow(size: float, dtype: torch.dtype) -> None:
    maps = torch.full((1, 2, 4, 4), size, dtype=dtype, requires_grad=True)
    pooled = lse_pool(maps, 1.5)
    assert pooled.dtype is torch.float32
    assert_close(pooled.detach(), 1.5 * maps.detach().float()[:, :, 0, 0], rtol=1e-6, atol=0)
    pooled.sum().backward()
    assert_close(maps.grad, torch.full_like(maps, 1.5 / 16), rtol=1e-3, atol=0)


@pytest.mark.parametrize('chunk_elements', [1, 2 * 96, 10**6])
def test_chunks_change_nothing(chunk_elements: int) -> None:
    def upsample(x: Tensor) -> Tensor:
        return F.interpolate(x, (8, 12), mode='bilinear', align_corners=True)

    def pool(x: Tensor) -> Tensor:
        return lse_pool(x, 1.5)

    scores = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    found = pool_upsampled(scores, upsample, pool, 96, chunk_elements)
    expected = pool(upsample(scores))
    assert_close(found, expected)
    weight = torch.randn_like(found)
    assert_close(
        *(torch.autograd.grad((value * weight).sum(), scores)[0] for value in (found, expected))
    )


def test_gradients_of_half_precision_are_not_rounded_before_they_are_scaled() -> None:
    """Shares of a large map are below what fp16 can tell from 0, until a loss is scaled."""
    scores = torch.zeros(1, 1, 64, 64).half().requires_grad_()
    pooled = pool_upsampled(
        scores, lambda x: F.interpolate(x, scale_factor=2), lambda x: 1e-5 * lse_pool(x, 1), 128**2
    )
    (2.0**16 * pooled).sum().backward()
    assert pooled.dtype is torch.float32
    assert_close(scores.grad, torch.full_like(scores, 2.0**16 * 1e-5 / 64**2), rtol=1e-3, atol=0)


def test_chunks_save_memory() -> None:
    """About one class's maps instead of those of all."""
    scores = torch.randn(1, 20, 4, 4, requires_grad=True)

    def run(chunk_elements: int) -> int:
        def call() -> tuple[Tensor, ...]:
            pooled = pool_upsampled(
                scores,
                lambda x: F.interpolate(x, (128, 128), mode='bilinear'),
                lambda x: lse_pool(x, 1.5),
                128**2,
                chunk_elements,
            )
            return torch.autograd.grad(pooled.sum(), scores)

        return peak_memory(call, scores.device)

    one_map = 128**2 * 4
    assert run(1) < 8 * one_map
    assert run(10**9) > 20 * one_map
