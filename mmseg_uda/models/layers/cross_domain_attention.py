"""The two attention modules of CDANet."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_uda.models.layers.attention import (
    attend,
    attention_map,
    channel_attend,
    channel_attend_both,
)
from mmseg_uda.utils.arguments import expect

__all__ = ['CrossDomainChannelAttention', 'CrossDomainSpatialAttention']


class CrossDomainSpatialAttention(BaseModule):
    r"""CD-SAM: every position of one image attends to all positions of the other.

    With :math:`\Phi_{ij} = q_i \cdot k_j` between source positions i and target positions j (not
    divided by the square root of the depth),

    .. math::
        A'_s = A_s + \lambda_s \operatorname{softmax}_j(\Phi)\, v_t, \qquad
        A'_t = A_t + \lambda_t \operatorname{softmax}_i(\Phi)^\top v_s.

    Chapter 3 of CDANet (`arXiv:2003.04010 <https://arxiv.org/abs/2003.04010>`_).

    Args:
        channels: C.
        reduction: Queries and keys have ``channels // reduction`` channels; 8 in the paper.
        weight: :math:`\lambda_s = \lambda_t`, a constant; 1 in the paper.

    Examples:
        >>> module = CrossDomainSpatialAttention(channels=16)
        >>> to_source, to_target = module(torch.rand(2, 16, 5, 9), torch.rand(2, 16, 4, 8))
        >>> to_source.shape, to_target.shape
        (torch.Size([2, 16, 5, 9]), torch.Size([2, 16, 4, 8]))
    """

    def __init__(self, channels: int, reduction: int = 8, weight: float = 1.0) -> None:
        super().__init__(init_cfg=dict(type='Normal', layer='Conv2d', std=0.01))
        expect(reduction >= 1, f'{type(self).__name__}.reduction', 'at least 1', reduction)
        depth = max(1, channels // reduction)
        self.query = nn.Conv2d(channels, depth, 1)
        self.key = nn.Conv2d(channels, depth, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.weight = weight

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Add to each map the values received from the other.

        Args:
            source: A_s, shape (N, C, h_s, w_s).
            target: A_t, shape (N, C, h_t, w_t); its size may differ.

        Returns:
            A'_s and A'_t, in the shapes of the inputs.
        """
        query, key = self.query(source).flatten(2), self.key(target).flatten(2)  # (N, C / 8, hw)
        to_source = attend(query, key, self.value(target).flatten(2))  # (N, C, h_s w_s)
        to_target = attend(key, query, self.value(source).flatten(2))  # (N, C, h_t w_t)
        return (
            source + self.weight * to_source.view_as(source),
            target + self.weight * to_target.view_as(target),
        )

    def to_target(self, source: Tensor, target: Tensor) -> Tensor:
        """Compute A'_t alone; arguments are those of :meth:`forward`."""
        query, key = self.query(source).flatten(2), self.key(target).flatten(2)
        received = attend(key, query, self.value(source).flatten(2))
        return target + self.weight * received.view_as(target)

    @torch.no_grad()
    def maps(self, source: Tensor, target: Tensor, positions: Tensor) -> Tensor:
        """Compute the attention of target positions to the source image (Figure 6).

        Args:
            source: A_s, shape (N, C, h_s, w_s).
            target: A_t, shape (N, C, h_t, w_t).
            positions: Flat indices into h_t * w_t, shape (P,).

        Returns:
            Shape (N, P, h_s, w_s); each map sums to 1.
        """
        rows = attention_map(self.key(target).flatten(2), self.query(source).flatten(2), positions)
        return rows.reshape(*rows.shape[:2], *source.shape[2:])


class CrossDomainChannelAttention(BaseModule):
    r"""CD-CAM: every channel of one image attends to all channels of the other.

    With :math:`\Theta = B_s B_t^\top`,

    .. math::
        B'_s = B_s + \xi_s \operatorname{softmax}_j(\Theta)\, B_t, \qquad
        B'_t = B_t + \xi_t \operatorname{softmax}_i(\Theta)^\top B_s.

    Chapter 3 of CDANet. The paper prints the product the other way round, but then eq. (6) would
    weight the target's channels along an axis of the source's.

    Args:
        weight: :math:`\xi_s = \xi_t`, a constant; 1 in the paper.

    Examples:
        >>> module = CrossDomainChannelAttention()
        >>> to_source, to_target = module(torch.zeros(2, 16, 4, 8), torch.ones(2, 16, 4, 8))
        >>> to_source.mean(), to_target.mean()  # 0 + 1 and 1 + 0
        (tensor(1.), tensor(1.))
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Add to each map the values received from the other.

        Args:
            source: B_s, shape (N, C, h, w).
            target: B_t, of the same shape.

        Returns:
            B'_s and B'_t.
        """
        to_source, to_target = channel_attend_both(source.flatten(2), target.flatten(2))
        return (
            source + self.weight * to_source.view_as(source),
            target + self.weight * to_target.view_as(target),
        )

    def to_target(self, source: Tensor, target: Tensor) -> Tensor:
        """Compute B'_t alone; arguments are those of :meth:`forward`."""
        received = channel_attend(target.flatten(2), source.flatten(2))  # (N, C, hw)
        return target + self.weight * received.view_as(target)
