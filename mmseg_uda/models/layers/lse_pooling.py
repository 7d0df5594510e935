"""Log-sum-exp pooling, and pooling of upsampled maps without keeping them."""

from __future__ import annotations

import math
from typing import Any, Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ['lse_pool', 'pool_upsampled', 'widen']


def widen(scores: Tensor) -> Tensor:
    """In fp32 at least."""
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


def lse_pool(
    seg_logits: Tensor, r: float, inv_r: bool = False, valid: Tensor | None = None
) -> Tensor:
    r"""Log-sum-exp pooling (PIT, eq. (1)): the mean of a map for small r, its maximum for large r.

    .. math:: s(c) = \log \frac{1}{HW} \sum_{ij} e^{r S(i, j, c)}

    Computed as :math:`\mathrm{logsumexp}(r S) - \log(HW)`, so that no logit is too large for it.

    Args:
        seg_logits: S, shape (N, C, H, W).
        r: Positive.
        inv_r: Divide by r, as Pinheiro and Collobert do and PIT's equation does not; only then the
            result lies between the mean and the maximum of the map.
        valid: Which pixels are pooled, shape (N, H, W), bool; None for all. An image without any
            is pooled as a whole.

    Returns:
        Shape (N, C), in fp32 at least; differentiable once.
    """
    seg_logits = widen(seg_logits)
    if valid is None:
        count: Tensor | float = math.log(seg_logits.shape[2] * seg_logits.shape[3])
    else:
        valid = (valid | ~valid.any(2, True).any(1, True)).unsqueeze(1)
        count = valid.sum((2, 3)).to(seg_logits.dtype).log()
    pooled = _LogSumExp.apply(seg_logits, r, valid) - count  # type: ignore
    return pooled / r if inv_r else pooled


class _LogSumExp(torch.autograd.Function):
    """Of r S over the valid pixels; the one map that is made is kept for the gradient."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, r: float, valid: Tensor | None) -> Tensor:
        shares = r * maps
        if valid is not None:
            shares.masked_fill_(~valid, -math.inf)
        top = shares.amax((2, 3), keepdim=True)
        shares.sub_(top).exp_()
        total = shares.sum((2, 3), keepdim=True)
        ctx.save_for_backward(shares, total)
        ctx.r = r
        return (total.log() + top)[:, :, 0, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        shares, total = ctx.saved_tensors
        return shares * (ctx.r * grad[:, :, None, None] / total), None, None


def pool_upsampled(
    scores: Tensor,
    upsample: Callable[[Tensor], Tensor],
    pool: Callable[[Tensor], Tensor],
    pixels: int,
    chunk_elements: int = 2**25,
) -> Tensor:
    """``pool(upsample(scores))``, a few classes at a time.

    Upsampled maps are as large as the image times the number of classes. Every map gives one
    number, so their gradients are made with them, and only those of ``scores`` are kept.

    Args:
        scores: Shape (N, C, h, w); widened to fp32 at least, as the gradients are.
        upsample: Treats each class alike and on its own: (N, c, h, w) to (N, c, H, W). Without
            parameters to train.
        pool: (N, c, H, W) to (N, c), each map on its own.
        pixels: H times W.
        chunk_elements: Elements of upsampled maps to hold at once; at least one class is.

    Returns:
        Shape (N, C); differentiable once.
    """
    classes = max(1, chunk_elements // (scores.shape[0] * pixels))
    parts = [
        _Pooled.apply(part, upsample, pool)  # type: ignore
        for part in torch.split(widen(scores), classes, 1)
    ]
    return torch.cat(parts, 1)


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        upsample: Callable[[Tensor], Tensor],
        pool: Callable[[Tensor], Tensor],
    ) -> Tensor:
        if not ctx.needs_input_grad[0]:
            return pool(upsample(scores))
        with torch.enable_grad():
            leaf = scores.detach().requires_grad_()
            pooled = pool(upsample(leaf))
            (gradient,) = torch.autograd.grad(pooled.sum(), leaf)
        ctx.save_for_backward(gradient)
        return pooled.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad[:, :, None, None] * gradient, None, None
