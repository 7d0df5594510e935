"""A teacher: the moving average of a student; how sure it is, and whether the student agrees."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.structures import MixedBatch

__all__ = ['EMATeacher', 'agreement', 'confidence_weight']


@MODELS.register_module()
class EMATeacher(nn.Module):
    r"""The exponential moving average of a student, which is never trained itself.

    .. math::
        \theta'_t = \alpha_t \theta'_{t-1} + (1 - \alpha_t) \theta_t, \qquad
        \alpha_t = \min(1 - 1 / (t + 1), \alpha)

    after the student's step t = 0, 1, ... (eq. (3) of CAMix, with the ramp of its code and of
    DACS). Parameters only: batch norm of the teacher has running statistics of its own, which its
    passes in training mode update. MMEngine's ``MomentumAnnealingEMA(momentum=1 - alpha, gamma=1)``
    copies the student's over them instead, and waits for the device once per parameter.

    The average is :attr:`module`, a segmentor like the student (``tools/export_segmentor.py
    --module teacher.module``); :attr:`steps` is t. Both are part of checkpoints.

    Args:
        student: The network to average; the teacher starts as a copy of it.
        alpha: :math:`\alpha`, in [0, 1].
        mode: ``'train'`` (batch norm by each batch's statistics, active dropout: the published code
            of CAMix and DACS) or ``'eval'`` in every iteration of a training. In tests it is always
            in evaluation mode.
    """

    steps: Tensor

    def __init__(self, student: nn.Module, alpha: float = 0.99, mode: str = 'train') -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f'EMATeacher.alpha got {alpha}; write a number in [0, 1]')
        if mode not in ('train', 'eval'):
            raise ValueError(f"EMATeacher.mode got {mode!r}; write 'train' or 'eval'")
        self.alpha = alpha
        self.mode = mode
        # A segmentor knows how it resizes and what its head is; no signature of mmseg says so.
        self.module: Any = deepcopy(student).requires_grad_(False)
        self.register_buffer('steps', torch.tensor(0))
        self.train()

    def copy_from(self, student: nn.Module) -> None:
        """Become the student as it is now, buffers too."""
        self.module.load_state_dict(student.state_dict())

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Average in the parameters that the student has after its step t."""
        momentum = max(1 / (int(self.steps) + 1), 1 - self.alpha)  # 1 - alpha_t
        # One call for all tensors; tensor by tensor, small networks spend their time in Python.
        torch._foreach_lerp_(list(self.module.parameters()), list(student.parameters()), momentum)
        self.steps += 1

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to logits (N, C, h, w)."""
        logits: Tensor = self.module.decode_head.forward(self.module.extract_feat(images))
        return logits

    def train(self, mode: bool = True) -> EMATeacher:
        """As in PyTorch, but training is in the mode that was declared."""
        super().train(mode)
        self.module.train(mode and self.mode == 'train')
        return self


def confidence_weight(sure: Tensor, by: str | None) -> Tensor:
    """Weight of a teacher's labels (w of CAMix' code, from DACS).

    Args:
        sure: 1 where the teacher is sure of its label, else 0; shape (N, H, W).
        by: ``'ratio'`` of sure pixels in each image, ``'batch_ratio'``, in all of them, by
            ``'pixel'``, or None for 1.

    Returns:
        Shape (N, H, W), in [0, 1].
    """
    if by == 'ratio':
        return sure.mean((1, 2), keepdim=True).expand_as(sure)
    if by == 'batch_ratio':
        return sure.mean().expand_as(sure)
    return sure if by == 'pixel' else torch.ones_like(sure)


def agreement(seg_logits: Tensor, mixed: MixedBatch) -> Tensor:
    """Share of the target's pixels whose label has the student's largest logit.

    Args:
        seg_logits: The student's, of the mixed images, shape (N, C, H, W).
        mixed: These images.
    """
    of_target = mixed.mask.squeeze(1) == 0
    label = mixed.labels.clamp(max=seg_logits.shape[1] - 1).unsqueeze(1)
    same = seg_logits.gather(1, label).squeeze(1) >= seg_logits.amax(1)
    return (same & of_target).sum() / of_target.sum().clamp(min=1)
