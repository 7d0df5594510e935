"""Symmetric cross entropy and its regulariser, for noisy labels."""

from __future__ import annotations

import math

from torch import Tensor

from mmseg_uda.models.layers.precision import widen
from mmseg_uda.models.losses.divisor import divide

__all__ = ['negative_log_likelihood', 'reverse_cross_entropy']

MIN_PROB, MIN_LABEL = 1e-7, 1e-4


def reverse_cross_entropy(seg_logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
    r"""Mean over valid pixels of :math:`-\sum_c \bar p_c \ln \bar y_c` (ProDA, eq. (8), right).

    p is clamped to [1e-7, 1], the one-hot label y to [1e-4, 1]: ln 0 is -9.21.

    Args:
        seg_logits: Shape (N, C, H, W).
        labels: Shape (N, H, W), int64.
        ignore_index: Label of the pixels to leave out.

    Returns:
        A scalar, in fp32 at least; 0 where all pixels are ignored.

    Examples:
        >>> import torch
        >>> logits = torch.zeros(1, 2, 1, 2)
        >>> reverse_cross_entropy(logits, torch.tensor([[[0, 255]]]))  # half of -ln 1e-4
        tensor(4.6052)
    """
    valid = labels != ignore_index  # (N, H, W)
    prob = widen(seg_logits).softmax(1).clamp(MIN_PROB, 1)  # (N, C, H, W)
    own = prob.gather(1, labels.where(valid, labels.new_zeros(())).unsqueeze(1)).squeeze(1)
    terms = -math.log(MIN_LABEL) * (prob.sum(1) - own)  # the label's own class has ln 1
    return divide((terms * valid).sum(), valid.sum())


def negative_log_likelihood(seg_logits: Tensor) -> Tensor:
    r"""Mean over pixels and classes of :math:`-\ln p`: the regulariser MRKLD (CRST, ICCV 2019).

    It is smallest, ln C, where all classes are equally probable.

    Args:
        seg_logits: Shape (N, C, H, W).

    Returns:
        A scalar, in fp32 at least.

    Examples:
        >>> import torch
        >>> negative_log_likelihood(torch.zeros(1, 2, 3, 4))  # ln 2
        tensor(0.6931)
    """
    return -widen(seg_logits).log_softmax(1).mean()
