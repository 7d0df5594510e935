"""Log-sum-exp pooling, and pooling of upsampled maps without keeping them."""

from __future__ import annotations

import math
from typing import Any, Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg_uda.models.layers.precision import widen

__all__ = ['lse_pool', 'pool_upsampled']


def lse_pool(
    seg_logits: Tensor, r: float, inv_r: bool = False, valid: Tensor | None = None
) -> Tensor:
    r"""Log-sum-exp pooling (PIT, eq. (1)): the mean of a map for small r, its maximum for large r.

    .. math:: s(c) = \log \frac{1}{HW} \sum_{ij} e^{r S(i, j, c)}

    Computed as :math:`\mathrm{logsumexp}(r S) - \log(HW)`, which does not overflow.

    Args:
        seg_logits: S, shape (N, C, H, W).
        r: Positive.
        inv_r: True to divide by r, as Pinheiro and Collobert do and PIT's equation does not; only
            then the result lies between the mean and the maximum of the map.
        valid: Pixels to pool, shape (N, H, W), bool; None for all. An image without any is pooled
            as a whole.

    Returns:
        s, shape (N, C), in fp32 at least; differentiable once.

    Examples:
        >>> seg_logits = torch.tensor([[[[0.0, 2.0]]]])
        >>> lse_pool(seg_logits, r=0.01, inv_r=True), lse_pool(seg_logits, r=100.0, inv_r=True)
        (tensor([[1.0050]]), tensor([[1.9931]]))
    """
    seg_logits = widen(seg_logits)
    if valid is None:
        log_count: Tensor | float = math.log(seg_logits.shape[2] * seg_logits.shape[3])
    else:
        valid = (valid | ~valid.any(2, True).any(1, True)).unsqueeze(1)  # (N, 1, H, W)
        log_count = valid.sum((2, 3)).to(seg_logits.dtype).log()  # (N, 1)
    pooled = _LogSumExp.apply(seg_logits, r, valid) - log_count  # type: ignore
    return pooled / r if inv_r else pooled


class _LogSumExp(torch.autograd.Function):
    """Log-sum-exp of r S over the valid pixels, which keeps a single map for the gradient."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, r: float, valid: Tensor | None) -> Tensor:
        shares = r * maps  # (N, C, H, W)
        if valid is not None:
            shares.masked_fill_(~valid, -math.inf)
        top = shares.amax((2, 3), keepdim=True)
        shares.sub_(top).exp_()  # in place: no second map
        total = shares.sum((2, 3), keepdim=True)  # (N, C, 1, 1)
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
    """Compute ``pool(upsample(scores))`` a few classes at a time.

    Upsampled maps are as large as the image times the number of classes. Since every map is pooled
    to one number, its gradient is computed in the forward pass, and only the gradient of ``scores``
    is kept.

    Args:
        scores: Shape (N, C, h, w); cast to fp32 at least, as the gradients are.
        upsample: Maps (N, c, h, w) to (N, c, H, W), treats each class alike and on its own, and has
            no trainable parameters.
        pool: Maps (N, c, H, W) to (N, c), each map on its own.
        pixels: H times W.
        chunk_elements: Elements of upsampled maps in memory at once; at least one class is.

    Returns:
        Shape (N, C); differentiable once.

    Examples:
        >>> scores = torch.tensor([[[[1.0]], [[2.0]]]])
        >>> double = torch.nn.Upsample(scale_factor=2)
        >>> pool_upsampled(scores, double, lambda maps: maps.sum((2, 3)), pixels=4)
        tensor([[4., 8.]])
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
            pooled = pool(upsample(leaf))  # (N, c)
            # Each entry depends on its own map alone, so that the gradient of the sum holds all.
            (gradient,) = torch.autograd.grad(pooled.sum(), leaf)
        ctx.save_for_backward(gradient)
        return pooled.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad[:, :, None, None] * gradient, None, None
