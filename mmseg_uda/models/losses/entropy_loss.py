"""Entropy of predictions, as a regulariser."""

from __future__ import annotations

import math
from typing import Sequence

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.structures import SegOutput

__all__ = ['EntropyLoss']


@MODELS.register_module()
class EntropyLoss(nn.Module):
    r"""Entropy minimisation (ADVENT's MinEnt, `arXiv:1811.12833 <https://arxiv.org/abs/1811.12833>`_).

    .. math:: L = -\frac{\lambda}{N h w \log C} \sum_{n,c,i} p_{nci} \log p_{nci} \in [0, \lambda]

    Args:
        loss_weight: :math:`\lambda`; 0.001 in the paper.
        domains: Domains of the passes that it regularises.

    Examples:
        >>> import torch
        >>> logits = torch.zeros(1, 19, 4, 8)  # all classes are equally probable
        >>> EntropyLoss()(SegOutput((), logits, 'target', logits))
        {'loss_entropy': tensor(0.0010)}
        >>> EntropyLoss()(SegOutput((), logits, 'source', logits))
        {}
    """

    def __init__(self, loss_weight: float = 1e-3, domains: Sequence[str] = ('target',)) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.domains = tuple(domains)

    def forward(self, output: SegOutput) -> dict[str, Tensor]:
        """Compute the loss of one student pass.

        Args:
            output: The pass; its ``seg_logits`` have the shape (N, C, h, w).

        Returns:
            ``loss_entropy``, or nothing for a domain that is not listed.
        """
        if output.domain not in self.domains:
            return {}
        log_prob = output.seg_logits.float().log_softmax(1)  # (N, C, h, w)
        entropy = -(log_prob.exp() * log_prob).sum(1).mean()  # (N, h, w) to a scalar, in [0, log C]
        return dict(loss_entropy=self.loss_weight * entropy / math.log(log_prob.shape[1]))
