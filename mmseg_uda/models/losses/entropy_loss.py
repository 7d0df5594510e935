"""Entropy of predictions, as a regulariser."""

from __future__ import annotations

import math
from typing import Sequence

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.structures import SegOutput
from mmseg_uda.utils.arguments import check_number

__all__ = ['EntropyLoss', 'entropy', 'self_information']


def self_information(prob: Tensor) -> Tensor:
    r"""Compute the weighted self-information :math:`-p \log p / \log C` of each class (ADVENT).

    Args:
        prob: Probabilities, shape (N, C, H, W).

    Returns:
        The same shape; at most 1 / (e log C), and at most 1 as a sum over the classes.

    Examples:
        >>> import torch
        >>> self_information(torch.tensor([0.5, 0.25, 0.125, 0.125]).view(1, 4, 1, 1)).flatten()
        tensor([0.2500, 0.2500, 0.1875, 0.1875])
    """
    # The summand is the official code's: gradients stay finite where p = 0.
    return -prob * (prob + 1e-30).log() / math.log(prob.shape[1])


def entropy(prob: Tensor) -> Tensor:
    """Average the entropy of probabilities (N, C, H, W) over the pixels: a scalar in [0, 1].

    Examples:
        >>> import torch
        >>> entropy(torch.full((2, 4, 3, 5), 0.25))  # all classes are equally probable
        tensor(1.)
    """
    return self_information(prob).sum(1).mean()


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
        check_number(f'{type(self).__name__}.loss_weight', loss_weight, '[0, inf)')
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
        prob = output.seg_logits.float().softmax(1)  # (N, C, h, w)
        return dict(loss_entropy=self.loss_weight * entropy(prob))
