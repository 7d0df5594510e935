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

    .. math:: L = -\frac{1}{N h w \log C} \sum_{n,c,i} p_{nci} \log p_{nci} \in [0, 1]

    Args:
        loss_weight: 0.001 in the paper.
        domains: Passes it looks at.
    """

    def __init__(self, loss_weight: float = 1e-3, domains: Sequence[str] = ('target',)) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.domains = tuple(domains)

    def forward(self, output: SegOutput) -> dict[str, Tensor]:
        """Loss of one student pass; empty for a domain that is not listed."""
        if output.domain not in self.domains:
            return {}
        log_prob = output.seg_logits.float().log_softmax(1)
        entropy = -(log_prob.exp() * log_prob).sum(1).mean()
        return dict(loss_entropy=self.loss_weight * entropy / math.log(log_prob.shape[1]))
