"""BDL's loss that keeps the content of an image in its translation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import load_weights, raise_mismatch, strip_prefix
from mmseg_uda.models.data_preprocessor import UDADataPreprocessor
from mmseg_uda.models.decode_heads.wrapping_head import raw_logits
from mmseg_uda.models.layers.precision import widen
from mmseg_uda.models.uda.student import build_student
from mmseg_uda.utils.arguments import check_number

__all__ = ['SemanticConsistency']


@MODELS.register_module()
class SemanticConsistency(nn.Module):
    r"""Squared difference of a frozen segmentor's logits on an image and on its translation.

    With s(x), the logits before upsampling, normalised over the positions of each channel, the loss
    is the mean of :math:`(s(u) - s(v))^2` (the "perceptual loss" of BDL, `arXiv:1904.10620
    <https://arxiv.org/abs/1904.10620>`_, in its authors' code). A positive scale and a shift of a
    channel do not change it.

    The segmentor is frozen, always in evaluation mode, and part of the checkpoints, so that a
    resumed run does not need its file.

    Args:
        segmentor: Config of any mmseg segmentor, with its data preprocessor.
        checkpoint: Its weights, or those of a method whose student it is. None, or a file that is
            gone, is right only if the model resumes.
        loss_weight: Weight for a translation and its original; 0.1 in BDL.
        cycle_weight: Weight for an image and its reconstruction; 10 in BDL.
        allow_untrained: True to compute the loss even if no checkpoint gave weights, for tests.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        checkpoint: str | None = None,
        *,
        loss_weight: float = 0.1,
        cycle_weight: float = 10.0,
        allow_untrained: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        for key, value in dict(loss_weight=loss_weight, cycle_weight=cycle_weight).items():
            check_number(f'{name}.{key}', value, '[0, inf)')
        network, preprocessor = build_student(name, segmentor, None)
        self.segmentor: Any = network.requires_grad_(False).eval()
        preprocessor.pop('type')
        self.preprocessor = UDADataPreprocessor(**preprocessor)
        self.checkpoint = checkpoint
        self.loss_weight = loss_weight
        self.cycle_weight = cycle_weight
        self._trained = allow_untrained

    def forward(self, images: Tensor) -> Tensor:
        """Compute s(x).

        Args:
            images: Shape (N, 3, H, W), RGB, in [-1, 1].

        Returns:
            Shape (N, C, h, w), in fp32 at least.

        Raises:
            ValueError: No checkpoint gave weights.
        """
        if not self._trained:
            raise ValueError(
                f'SemanticConsistency.checkpoint: expected a trained segmentor, but got '
                f'{self.checkpoint!r}, which is no file; write the checkpoint of `segmentor`'
            )
        inputs = self.preprocessor.normalize((images + 1) / 2)
        features = self.segmentor.extract_feat(inputs)
        return F.instance_norm(widen(raw_logits(self.segmentor.decode_head, features)[0]))

    def train(self, mode: bool = True) -> SemanticConsistency:
        """Switch modes as in PyTorch, but keep the segmentor in evaluation mode."""
        super().train(mode)
        self.segmentor.eval()
        return self

    def init_weights(self) -> None:
        """Read the segmentor's weights; a missing file is an error only in :meth:`forward`."""
        if self.checkpoint is not None and Path(self.checkpoint).is_file():
            weights = load_weights(self.checkpoint)
            weights = strip_prefix(weights, 'student.') or weights
            raise_mismatch('SemanticConsistency.checkpoint', self.segmentor, weights)
            self.segmentor.load_state_dict(weights, strict=False)
            self._trained = True

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        own = self.segmentor.state_dict(prefix=f'{prefix}segmentor.')
        self._trained |= own.keys() <= state_dict.keys()
        super()._load_from_state_dict(state_dict, prefix, *args)
