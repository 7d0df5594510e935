"""Log-sum-exp pooling, and pooling of upsampled maps without keeping them."""

from __future__ import annotations

import math
from typing import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ['lse_pool', 'pool_upsampled']


def lse_pool(seg_logits: Tensor, r: float, inv_r: bool = False,
             valid: Tensor | None = None) -> Tensor:
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
        Shape (N, C), in fp32 at least.
    """
    if seg_logits.dtype in (torch.float16, torch.bfloat16):
        seg_logits = seg_logits.float()
    scaled = r * seg_logits
    if valid is None:
        count: Tensor | float = math.log(scaled.shape[2] * scaled.shape[3])
    else:
        valid = (valid | ~valid.any(2, True).any(1, True)).unsqueeze(1)
        scaled = scaled.masked_fill(~valid, -math.inf)
        count = valid.sum((2, 3)).to(scaled.dtype).log()
    pooled = scaled.logsumexp((2, 3)) - count
    return pooled / r if inv_r else pooled


def pool_upsampled(scores: Tensor, upsample: Callable[[Tensor], Tensor],
                   pool: Callable[[Tensor], Tensor], pixels: int,
                   chunk_elements: int = 2**25) -> Tensor:
    """``pool(upsample(scores))``, a few classes at a time.

    Upsampled maps are as large as the image times the number of classes, so they are dropped once
    they are pooled and upsampled again for the gradients.

    Args:
        scores: Shape (N, C, h, w).
        upsample: Treats each class alike and on its own: (N, c, h, w) to (N, c, H, W).
        pool: (N, c, H, W) to (N, c).
        pixels: H times W.
        chunk_elements: Elements of upsampled maps to hold at once; at least one class is.

    Returns:
        Shape (N, C).
    """
    def pooled(part: Tensor) -> Tensor:
        return pool(upsample(part))

    classes = max(1, chunk_elements // (scores.shape[0] * pixels))
    parts = [checkpoint(pooled, part, use_reentrant=False, preserve_rng_state=False)
             for part in torch.split(scores, classes, 1)]
    return torch.cat(parts, 1)
