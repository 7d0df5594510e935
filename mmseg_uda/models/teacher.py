"""Teachers: the moving average of a student, the weight of its labels, and fixed networks."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import load_weights, raise_mismatch, strip_prefix
from mmseg_uda.models.contexts import batch_norms
from mmseg_uda.models.losses.divisor import reduce_over_processes
from mmseg_uda.structures import MixedBatch
from mmseg_uda.utils.arguments import check_choice, check_number

__all__ = ['LABEL_WEIGHTS', 'EMATeacher', 'FixedTeacher', 'agreement', 'confidence_weight']

LABEL_WEIGHTS = ('ratio', 'batch_ratio', 'scalar', 'pixel', None)


@MODELS.register_module()
class EMATeacher(nn.Module):
    r"""The exponential moving average of a student, which is never trained itself.

    .. math::
        \theta'_t = \alpha_t \theta'_{t-1} + (1 - \alpha_t) \theta_t, \qquad
        \alpha_t = \min(1 - 1 / (t + 1), \alpha)

    after the student's step t = 0, 1, ... (eq. (3) of CAMix, with the ramp of its code and of
    DACS). Only parameters are averaged: the teacher's batch norm has running statistics of its own,
    which its passes in training mode update; in mode ``'eval'`` it has the student's. MMEngine's
    ``MomentumAnnealingEMA(momentum=1 - alpha, gamma=1)`` overwrites them with the student's, and
    synchronises with the device once per parameter.

    The average is :attr:`module`, a segmentor like the student (``tools/export_segmentor.py
    --module teacher.module``); :attr:`steps` is t. Checkpoints hold both.

    Args:
        student: The network to average; the teacher starts as a copy of it.
        alpha: :math:`\alpha`, in [0, 1].
        mode: Mode of the teacher during training: ``'train'`` (batch norm by each batch's
            statistics, active dropout: the published code of CAMix and DACS), ``'eval'``, or
            ``'batch_statistics'``, evaluation mode but for batch norm (DAFormer, which switches
            dropout and DropPath off). At test time it is always in evaluation mode.
        mirrored: Average the probabilities with those of the mirrored images (VFM-UDA).

    Raises:
        ValueError: ``alpha`` or ``mode`` is out of range.
    """

    steps: Tensor

    def __init__(
        self,
        student: nn.Module,
        alpha: float = 0.99,
        mode: str = 'train',
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        check_number('EMATeacher.alpha', alpha, '[0, 1]')
        check_choice('EMATeacher.mode', mode, ('train', 'eval', 'batch_statistics'))
        self.alpha = alpha
        self.mode = mode
        self.mirrored = mirrored
        # Any: mmseg declares no type that has decode_head, align_corners and num_classes.
        self.module: Any = deepcopy(student).requires_grad_(False)
        self.register_buffer('steps', torch.tensor(0))
        self.train()

    def copy_from(self, student: nn.Module) -> None:
        """Copy the student's parameters and buffers."""
        self.module.load_state_dict(student.state_dict())

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Average over one more step of the student."""
        # 1 - alpha_t, on the device of the count, for which the host does not wait.
        momentum = (1 / (self.steps + 1).double()).clamp(min=1 - self.alpha)
        averaged = list(self.module.parameters())
        weights = {dtype: momentum.to(dtype) for dtype in {each.dtype for each in averaged}}
        # One call for all tensors; tensor by tensor, small networks spend their time in Python.
        torch._foreach_lerp_(
            averaged, list(student.parameters()), [weights[each.dtype] for each in averaged]
        )
        if self.mode == 'eval':  # no pass of its own updates its statistics
            self._copy_statistics(student)
        self.steps += 1

    def _copy_statistics(self, student: nn.Module) -> None:
        for ours, theirs in zip(batch_norms(self.module), batch_norms(student)):
            for buffer, value in zip(ours.buffers(), theirs.buffers()):
                buffer.copy_(value)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute logits (N, C, h, w) of normalised images (N, 3, H, W)."""
        logits: Tensor = self.module.decode_head.forward(self.module.extract_feat(images))
        return logits

    def train(self, mode: bool = True) -> EMATeacher:
        """Switch modes as in PyTorch; training mode is the declared one."""
        super().train(mode)
        self.module.train(mode and self.mode == 'train')
        if mode and self.mode == 'batch_statistics':
            # Everything else is off: dropout of any class, in functions of torch too; and batch
            # norm that the network itself keeps in evaluation mode (`norm_eval`).
            self.module.train()
            norms = [each for each in batch_norms(self.module) if each.training]
            self.module.eval()
            for layer in norms:
                layer.train()
        return self


@MODELS.register_module()
class FixedTeacher(nn.Module):
    """A network that was trained before, and stays as it is.

    Checkpoints of the training leave its weights out: they come from the file alone, also when a
    run resumes, and when ``load_from`` names the checkpoint of a stage with another teacher.

    Args:
        segmentor: Config of a segmentor; its preprocessor and initial weights are not used.
        checkpoint: File of a segmentor, or of a method, whose student is taken.
        allow_untrained: True to use it without weights, for experiments.
    """

    def __init__(
        self, segmentor: ConfigType, checkpoint: str | None = None, allow_untrained: bool = False
    ) -> None:
        super().__init__()
        network = {key: part for key, part in segmentor.items() if key != 'data_preprocessor'}
        self.module: Any = MODELS.build(network).requires_grad_(False)
        self.checkpoint = checkpoint
        self._trained = allow_untrained
        self.register_state_dict_post_hook(_leave_out)  # type: ignore[no-untyped-call]
        self.train()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute logits (N, C, h, w) of normalised images (N, 3, H, W).

        Raises:
            FileNotFoundError: The checkpoint does not exist.
        """
        if not self._trained:
            raise FileNotFoundError(
                f'FixedTeacher.checkpoint: expected the checkpoint of an earlier stage, but '
                f'{self.checkpoint} does not exist; train that stage first, or write its path'
            )
        logits: Tensor = self.module.decode_head.forward(self.module.extract_feat(images))
        return logits

    def train(self, mode: bool = True) -> FixedTeacher:
        """Stay in evaluation mode."""
        return super().train(False)

    def init_weights(self) -> None:
        """Read the checkpoint; a missing one is an error only when it is needed.

        Raises:
            ValueError: The checkpoint is of another network.
        """
        if self.checkpoint is None or not Path(self.checkpoint).is_file():
            return
        weights = load_weights(self.checkpoint)
        weights = strip_prefix(weights, 'student.') or weights
        raise_mismatch('FixedTeacher.checkpoint', self.module, weights)
        self.module.load_state_dict(weights, strict=False)
        self._trained = True

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        state_dict.update(self.module.state_dict(prefix=f'{prefix}module.'))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _leave_out(teacher: nn.Module, state_dict: dict[str, Tensor], prefix: str, _: Any) -> None:
    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]


def confidence_weight(confident: Tensor, label_weight: str | None, joint: bool = False) -> Tensor:
    """Compute the weight of a teacher's labels (w of CAMix' code, from DACS).

    Args:
        confident: 1 where the teacher is confident of its label, else 0; shape (N, H, W), float.
        label_weight: ``'ratio'``, the share of confident pixels in each image; ``'batch_ratio'``,
            the share in all of them, and so is ``'scalar'``; ``'pixel'``, the mask itself; None for
            1.
        joint: True to take the share in all images over those of all processes, which must then all
            call this function.

    Returns:
        Shape (N, H, W), in [0, 1].
    """
    if label_weight == 'ratio':
        return confident.mean((1, 2), keepdim=True).expand_as(confident)
    if label_weight in ('batch_ratio', 'scalar'):
        ratio = confident.mean()
        return (reduce_over_processes(ratio) if joint else ratio).expand_as(confident)
    return confident if label_weight == 'pixel' else torch.ones_like(confident)


def agreement(seg_logits: Tensor, mixed: MixedBatch) -> Tensor:
    """Compute the share of target pixels whose label has the student's largest logit.

    Args:
        seg_logits: Logits of the student on the mixed images, shape (N, C, H, W).
        mixed: These images.

    Returns:
        A scalar in [0, 1].
    """
    of_target = mixed.mask.squeeze(1) == 0  # (N, H, W)
    label = mixed.labels.clamp(0, seg_logits.shape[1] - 1).unsqueeze(1)  # ignored ones too
    same = seg_logits.gather(1, label).squeeze(1) >= seg_logits.amax(1)
    return (same & of_target).sum() / of_target.sum().clamp(min=1)
