"""Divergence of a student's distribution from a teacher's: structure and distillation of ProDA."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_uda.models.layers.precision import widen
from mmseg_uda.models.losses.divisor import divide
from mmseg_uda.utils.arguments import check_choice

__all__ = ['divergence']

FORMS = ('kl', 'official')


def divergence(
    teacher: Tensor,
    student_logits: Tensor,
    valid: Tensor | None = None,
    form: str = 'kl',
    per: str = 'element',
) -> Tensor:
    r"""Mean of :math:`p_t (\ln p_t - \ln p_s)`, the KL divergence of a student from a teacher.

    Args:
        teacher: Probabilities :math:`p_t`, shape (N, C, H, W), without a graph.
        student_logits: Logits of :math:`p_s`, of the same shape.
        valid: True for the pixels that count, shape (N, 1, H, W); None for all.
        form: ``'kl'``, or ``'official'``, where :math:`\ln p_s` is :math:`p_s`: what ProDA's
            released distillation computes.
        per: Divisor: each ``'element'``, which is pixels times classes (the code of ProDA), or each
            ``'pixel'``.

    Returns:
        A scalar, in fp32 at least.

    Raises:
        ValueError: ``form`` or ``per`` is unknown.

    Examples:
        >>> teacher = torch.tensor([0.5, 0.5]).view(1, 2, 1, 1)
        >>> divergence(teacher, torch.zeros(1, 2, 1, 1))
        tensor(0.)
        >>> divergence(teacher, torch.tensor([0.0, 2.0]).view(1, 2, 1, 1), per='pixel')
        tensor(0.4338)
    """
    check_choice('divergence.form', form, FORMS)
    check_choice('divergence.per', per, ('element', 'pixel'))
    logits = widen(student_logits)
    log_student = logits.log_softmax(1) if form == 'kl' else logits.softmax(1)
    # xlogy: a class without probability adds nothing.
    terms = (torch.xlogy(teacher, teacher) - teacher * log_student).sum(1, keepdim=True)
    if valid is None:
        valid = torch.ones_like(terms, dtype=torch.bool)
    classes = teacher.shape[1] if per == 'element' else 1
    return divide((terms * valid).sum(), valid.sum()) / classes
