"""Scores of predictions on target images that need no label.

All of them are functions of the softmax ``prob`` (N, C) of sampled target pixels, and some of other
predictions beside it.
Logarithms are natural, and 0 log 0 is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_uda.evaluation.importance_weighting import importance_weighted_risk

__all__ = [
    'SCORES',
    'Score',
    'SourcePixels',
    'Views',
    'agreement',
    'effective_classes',
    'entropy',
    'mutual_information',
    'neighbourhood_density',
    'source_divergence',
]

TINY = 1e-12
ROWS = 1024  # of a matrix of similarities at a time


class SourcePixels(NamedTuple):
    """Sampled pixels of the source, which have labels.

    Args:
        prob: Softmax, shape (n, C), float32.
        wrong: Whether the prediction is wrong, shape (n,), bool.
        held_out: Which half of the images a pixel belongs to, shape (n,), bool.
    """

    prob: Tensor
    wrong: Tensor
    held_out: Tensor


class Views(NamedTuple):
    """The values that scores are computed from.

    Args:
        prob: Softmax of sampled pixels, shape (N, C), float32.
        few: Indices of the pixels for scores of quadratic cost, shape (n,).
        pairs: Indices of pixels of which the mirrored image was predicted too, shape (m,).
        mirrored: The softmax of these pixels in the mirrored image, shape (m, C).
        shares: Share of each class among the source's labelled pixels, shape (C,); None if unknown.
        teacher: Class of each pixel by the other one of student and teacher, shape (N,); None
            without one.
        source: Pixels of the source; None without any.
    """

    prob: Tensor
    few: Tensor
    pairs: Tensor
    mirrored: Tensor
    shares: Tensor | None = None
    teacher: Tensor | None = None
    source: SourcePixels | None = None


class Score(NamedTuple):
    """A score.

    Args:
        compute: Computes it; None is given where an input is missing.
        rule: ``'less'`` or ``'greater'``: which values are taken for better, as ``save_best`` of a
            checkpoint hook names it.
        needs: What must be written for its input; empty if images of the target are enough.
    """

    compute: Callable[[Views], float | None]
    rule: str
    needs: str = ''


def _entropy(prob: Tensor) -> Tensor:
    """Entropy of the last dimension, in nats."""
    return -(prob * prob.clamp(min=TINY).log()).sum(-1)


def entropy(prob: Tensor) -> float:
    r"""Mean entropy of the pixels, :math:`\frac{1}{N \log C} \sum_i H(p_i) \in [0, 1]`.

    Minimum entropy as a validator: Morerio et al., ICLR 2018, `arXiv:1711.10288
    <https://arxiv.org/abs/1711.10288>`_. It is 0 for any network that is certain, right or wrong.
    """
    return _entropy(prob).mean().item() / math.log(prob.shape[1])


def mutual_information(prob: Tensor) -> float:
    r"""Diversity minus uncertainty, :math:`H(\frac{1}{N} \sum_i p_i) - \frac{1}{N} \sum_i H(p_i)`.

    Bridle et al., NIPS 1991, as used by SHOT, `arXiv:2002.08546
    <https://arxiv.org/abs/2002.08546>`_, Eq. (3). It lies in [0, log C] and is 0 for a constant and
    for a uniform prediction. It prefers classes of equal size, which images do not have.
    """
    return (_entropy(prob.mean(0)) - _entropy(prob).mean()).item()


def neighbourhood_density(prob: Tensor, temperature: float = 0.05) -> float:
    r"""Soft neighbourhood density (SND), the mean entropy of similarities between pixels.

    Saito et al., ICCV 2021, `arXiv:2108.10860 <https://arxiv.org/abs/2108.10860>`_, Eq. (1)-(3),
    with :math:`\hat p_i = p_i / \|p_i\|`:

    .. math::
        P_{ij} = \frac{\exp(\hat p_i^T \hat p_j / \tau)}
        {\sum_{k \neq i} \exp(\hat p_i^T \hat p_k / \tau)}, \qquad
        S = -\frac{1}{n} \sum_i \sum_{j \neq i} P_{ij} \log P_{ij} \in [0, \log(n - 1)]

    As in the paper, a pixel is no neighbour of its own (the published code keeps it). A constant
    prediction reaches the upper bound, so a collapsed network looks best.
    """
    unit = torch.nn.functional.normalize(prob, dim=1)
    total = prob.new_zeros(())
    for start in range(0, len(unit), ROWS):  # memory for ROWS x n similarities
        similarity = unit[start : start + ROWS] @ unit.T / temperature  # (rows, n)
        similarity.diagonal(start).fill_(-math.inf)
        total += _entropy(similarity.softmax(1)).sum()
    return total.item() / len(unit)


def effective_classes(prob: Tensor) -> float:
    r"""Effective number of predicted classes, :math:`\exp H(q) \in [1, C]`.

    :math:`q_c` is the share of pixels whose most probable class is :math:`c`. A network that has
    collapsed to one class has 1. (The exponential of Shannon's entropy: Hill, Ecology 1973.)
    """
    shares = torch.bincount(prob.argmax(1), minlength=prob.shape[1]) / len(prob)
    return _entropy(shares).exp().item()


def source_divergence(prob: Tensor, shares: Tensor) -> float:
    r"""Divergence of predicted from source class shares, :math:`\sum_c s_c \log(s_c / \bar p_c)`.

    :math:`s` are the shares of the classes among the source's labels, :math:`\bar p` is the mean
    softmax. The direction is the one that grows when a class of the source disappears; a class that
    the source lacks adds nothing. It is 0 for equal shares.
    """
    mean = prob.mean(0).clamp(min=TINY)
    return torch.special.xlogy(shares, shares.clamp(min=TINY) / mean).sum().item()


def agreement(prob: Tensor, other: Tensor) -> float:
    """Share of pixels with the same class in two predictions, in [0, 1].

    Consistency as a validator, under augmentation (here: mirroring) or between student and teacher:
    Musgrave et al., "Three New Validators and a Large-Scale Benchmark Ranking", `arXiv:2208.07360
    <https://arxiv.org/abs/2208.07360>`_, discuss scores of this kind. A constant prediction agrees
    with itself.

    Args:
        prob: Softmax, shape (N, C).
        other: Class of each pixel in the other prediction, shape (N,).
    """
    return (prob.argmax(1) == other).float().mean().item()


def _source_divergence(views: Views) -> float | None:
    return None if views.shares is None else source_divergence(views.prob, views.shares)


def _mirror_agreement(views: Views) -> float | None:
    if not len(views.pairs):
        return None
    return agreement(views.prob[views.pairs], views.mirrored.argmax(1))


def _teacher_agreement(views: Views) -> float | None:
    return None if views.teacher is None else agreement(views.prob, views.teacher)


def _weighted_source_error(views: Views) -> float | None:
    source = views.source
    if source is None or source.held_out.all() or not source.held_out.any():
        return None
    return importance_weighted_risk(source.prob, source.wrong, source.held_out, views.prob)


SCORES: dict[str, Score] = {
    'entropy': Score(lambda views: entropy(views.prob), 'less'),
    'mutual_information': Score(lambda views: mutual_information(views.prob), 'greater'),
    'neighbourhood_density': Score(
        lambda views: neighbourhood_density(views.prob[views.few]), 'greater'
    ),
    'effective_classes': Score(lambda views: effective_classes(views.prob), 'greater'),
    'source_divergence': Score(_source_divergence, 'less', 'source_shares'),
    'mirror_agreement': Score(
        _mirror_agreement, 'greater', "a dataset dict(type='MirroredViews', dataset=...)"
    ),
    'teacher_agreement': Score(
        _teacher_agreement,
        'greater',
        'with_teacher=True beside the dataloader, and a method with a teacher',
    ),
    'weighted_source_error': Score(
        _weighted_source_error,
        'less',
        "a dataset dict(type='BothDomains', datasets=[source, target]) with at least two labelled "
        'images of the source',
    ),
}
"""All scores by name; a new one is a line here."""
