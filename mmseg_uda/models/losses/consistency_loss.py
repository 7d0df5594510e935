"""Consistency of a student with labels of which some are its teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.layers.precision import widen
from mmseg_uda.models.losses.divisor import divide
from mmseg_uda.utils.arguments import check_choice, check_loss_name, check_number, expect

__all__ = ['ConsistencyLoss']


def _cross_entropy(seg_logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    return F.cross_entropy(seg_logits, labels, ignore_index=ignore_index, reduction='none')


def _squared_error(seg_logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Mean over classes of (softmax - one-hot label)^2, without the one-hot map."""
    valid = labels != ignore_index  # (N, H, W)
    prob = seg_logits.softmax(1)  # (N, C, H, W)
    own = prob.gather(1, labels.where(valid, labels.new_zeros(())).unsqueeze(1)).squeeze(1)
    error = (prob.square().sum(1) - own.square() + (own - 1).square()) / prob.shape[1]
    return error * valid


def _squared_difference(seg_logits: Tensor, probabilities: Tensor) -> Tensor:
    """Mean over classes of (softmax - probability)^2."""
    return (seg_logits.softmax(1) - probabilities).square().mean(1)


DISTANCES = dict(ce=_cross_entropy, mse=_squared_error)
TARGETS = ('label', 'unmixed_probability')
NORMALIZERS = ('valid', 'significance', 'significance_of_valid', 'official')


@MODELS.register_module()
class ConsistencyLoss(nn.Module):
    r"""The consistency loss of mean teachers on mixed images (DACS, CAMix).

    With the distance D of the student's prediction from a pixel's mixed label, the weight w of that
    label, and its significance U, which is 1 where none is given:

    ============================  ==============================================================
    ``'valid'``                   sum(U w D) / valid pixels
    ``'significance'``            sum(U w D) / sum(U): eq. (9) of CAMix (SRC)
    ``'significance_of_valid'``   the same, with U = 0 for ignored pixels, which otherwise count
                                  in the divisor
    ``'official'``                sum(w D) / all pixels: the result of CAMix' code, which
                                  multiplies its mean by U and divides it by the sum of U again
    ============================  ==============================================================

    With ``target='unmixed_probability'``, D is the squared difference from the teacher's softmax
    of the *unmixed* target image, at all pixels, those of the source included. With
    ``'official'`` and q as the weight of all pixels this is CAMix' code for "MSE" in Table 5.

    D of ignored pixels is 0; so is the loss where the divisor is 0. With several processes the
    divisor is that of the joint batch (see :func:`divide`). Equations and tables are those of CAMix
    (`arXiv:2108.03557 <https://arxiv.org/abs/2108.03557>`_).

    Args:
        kind: D: ``'ce'``, cross entropy, or ``'mse'``, the mean over classes of the squared
            difference between softmax and target.
        target: What D is the distance from: the mixed ``'label'``, one-hot in ``'mse'``, or the
            ``'unmixed_probability'``, for ``'mse'`` only.
        normalize: Divisor, from the table above.
        loss_weight: :math:`\lambda_{con}`.
        loss_name: Name in the log; must contain ``loss``.

    Raises:
        ValueError: ``kind``, ``target`` or ``normalize`` is unknown, ``target`` does not suit
            ``kind``, or ``loss_name`` lacks ``loss``.

    Examples:
        >>> logits, labels = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
        >>> significance = torch.tensor([[[1.0, 0.0]]])
        >>> ConsistencyLoss()(logits, labels, significance=significance)  # log 2
        tensor(0.6931)
        >>> ConsistencyLoss(normalize='valid')(logits, labels, significance=significance)
        tensor(0.3466)
    """

    def __init__(
        self,
        kind: str = 'ce',
        normalize: str = 'significance',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_con',
        target: str = 'label',
    ) -> None:
        super().__init__()
        check_choice('ConsistencyLoss.kind', kind, tuple(DISTANCES))
        check_choice('ConsistencyLoss.normalize', normalize, NORMALIZERS)
        check_choice('ConsistencyLoss.target', target, TARGETS)
        expect(
            target == 'label' or kind == 'mse',
            'ConsistencyLoss.target',
            f"'label', because kind={kind!r} takes labels",
            target,
        )
        check_loss_name(self, loss_name)
        self.distance = DISTANCES[kind]
        self.target = target
        self.normalize = normalize
        check_number(f'{type(self).__name__}.loss_weight', loss_weight, '[0, inf)')
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        seg_logits: Tensor,
        labels: Tensor,
        pixel_weight: Tensor | None = None,
        significance: Tensor | None = None,
        ignore_index: int = 255,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        """Compute the weighted loss.

        Args:
            seg_logits: Shape (N, C, H, W).
            labels: Shape (N, H, W), int64.
            pixel_weight: w, shape (N, H, W), in [0, inf); None for 1.
            significance: U, shape (N, H, W), in [0, 1]; None for 1.
            ignore_index: Label of the pixels to leave out.
            probabilities: The teacher's softmax of the unmixed target image, shape (N, C, H, W),
                for ``target='unmixed_probability'``.

        Returns:
            A scalar, in fp32 at least.

        Raises:
            ValueError: ``probabilities`` are needed and missing.
        """
        valid = labels != ignore_index  # (N, H, W)
        if self.target == 'label':
            terms = self.distance(widen(seg_logits), labels, ignore_index)  # D, (N, H, W)
        elif probabilities is None:
            raise ValueError(
                "ConsistencyLoss.target: expected the teacher's probabilities, but got None; write "
                "target='label', or pass them"
            )
        else:
            terms = _squared_difference(widen(seg_logits), probabilities)
            valid = torch.ones_like(valid)
        if pixel_weight is not None:
            terms = terms * pixel_weight
        if significance is not None and self.normalize != 'official':
            terms = terms * significance
        return self.loss_weight * divide(terms.sum(), self._divisor(terms, valid, significance))

    def _divisor(self, terms: Tensor, valid: Tensor, significance: Tensor | None) -> Tensor:
        if self.normalize == 'valid':
            return valid.sum()
        if significance is None or self.normalize == 'official':
            significance = torch.ones_like(terms)
        if self.normalize == 'significance_of_valid':
            significance = significance * valid
        return significance.sum()
