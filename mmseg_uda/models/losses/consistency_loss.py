"""Consistency of a student with labels of which some are its teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.losses.divisor import divide

__all__ = ['ConsistencyLoss']


def _cross_entropy(seg_logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    return F.cross_entropy(seg_logits, labels, ignore_index=ignore_index, reduction='none')


def _squared_error(seg_logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Mean over classes of (softmax - one-hot label)^2, without the one-hot map."""
    valid = labels != ignore_index
    prob = seg_logits.softmax(1)
    own = prob.gather(1, labels.where(valid, labels.new_zeros(())).unsqueeze(1)).squeeze(1)
    error = (prob.square().sum(1) - own.square() + (own - 1).square()) / prob.shape[1]
    return error * valid


DISTANCES = dict(ce=_cross_entropy, mse=_squared_error)
NORMALIZERS = ('valid', 'significance', 'significance_of_valid', 'official')


@MODELS.register_module()
class ConsistencyLoss(nn.Module):
    r"""The consistency loss of mean teachers on mixed images (DACS, CAMix).

    With the pixels' distance D (of the student's prediction from the mixed label), their weight w
    (confidence in that label) and significance U, which is 1 where none is given:

    ============================  ==============================================================
    ``'valid'``                   sum(U w D) / valid pixels
    ``'significance'``            sum(U w D) / sum(U): eq. (9) of CAMix (SRC)
    ``'significance_of_valid'``   the same, with U = 0 for ignored pixels, which else stay in
                                  the divisor
    ``'official'``                sum(w D) / all pixels: what CAMix' code comes to, which multiplies
                                  its mean by U and divides it by the sum of U again
    ============================  ==============================================================

    D of ignored pixels is 0; so is the loss where nothing counts. With several processes the
    divisor is the one of the joint batch (see :func:`divide`).

    Args:
        kind: ``'ce'``, cross entropy, or ``'mse'``, the mean over classes of the squared difference
            between softmax and label (Table 5).
        normalize: See above.
        loss_weight: :math:`\lambda_{con}`.
        loss_name: Key in the log; must contain ``loss``.
    """

    def __init__(
        self,
        kind: str = 'ce',
        normalize: str = 'significance',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_con',
    ) -> None:
        super().__init__()
        for key, value, choices in (
            ('kind', kind, tuple(DISTANCES)),
            ('normalize', normalize, NORMALIZERS),
        ):
            if value not in choices:
                raise ValueError(f'ConsistencyLoss.{key} got {value!r}; write one of {choices}')
        if 'loss' not in loss_name:
            raise ValueError(
                f'ConsistencyLoss.loss_name got {loss_name!r}; write a name with '
                '`loss` in it, or it will not be trained'
            )
        self.distance = DISTANCES[kind]
        self.normalize = normalize
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        seg_logits: Tensor,
        labels: Tensor,
        pixel_weight: Tensor | None = None,
        significance: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """A scalar, in fp32 at least.

        Args:
            seg_logits: Shape (N, C, H, W).
            labels: Shape (N, H, W), int64.
            pixel_weight: w, shape (N, H, W), in [0, inf); None for 1.
            significance: U, shape (N, H, W), in [0, 1]; None for 1.
            ignore_index: The label to leave out.
        """
        seg_logits = seg_logits.to(torch.promote_types(seg_logits.dtype, torch.float32))
        terms = self.distance(seg_logits, labels, ignore_index)
        if pixel_weight is not None:
            terms = terms * pixel_weight
        if significance is not None and self.normalize != 'official':
            terms = terms * significance
        return self.loss_weight * divide(
            terms.sum(), self._divisor(terms, labels != ignore_index, significance)
        )

    def _divisor(self, terms: Tensor, valid: Tensor, significance: Tensor | None) -> Tensor:
        if self.normalize == 'valid':
            return valid.sum()
        if significance is None or self.normalize == 'official':
            significance = torch.ones_like(terms)
        if self.normalize == 'significance_of_valid':
            significance = significance * valid
        return significance.sum()
