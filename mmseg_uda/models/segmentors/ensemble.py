"""A segmentor together with other trained ones of the same network."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_uda.models.segmentors.extended import ExtendedSegmentor
from mmseg_uda.models.teacher import FixedTeacher
from mmseg_uda.utils.arguments import expect

__all__ = ['EnsembleSegmentor']


@MODELS.register_module()
class EnsembleSegmentor(ExtendedSegmentor):
    """Any segmentor of mmseg that predicts by the mean logits of several trained networks.

    ADVENT (`arXiv:1811.12833 <https://arxiv.org/abs/1811.12833>`_) reports AdvEnt and MinEnt
    together; its code averages their logits. The first network is the segmentor, whose weights keep
    their names, so that it is tested as any other, with the checkpoint of its training. The others
    come from their own files, as soon as the first one is loaded. Training changes the first one
    alone: train each network with a config of its own.

    Args:
        checkpoints: Files of the others: of the same segmentor, or of a method, whose student is
            taken.
        segmentor_type: As for :class:`ExtendedSegmentor`.
        segmentor: As for :class:`ExtendedSegmentor`.

    Raises:
        ValueError: ``checkpoints`` is no list of paths, or empty; on loading, if a file is of
            another network.
        FileNotFoundError: On prediction, if a file does not exist.
    """

    def __init__(
        self,
        checkpoints: Sequence[str],
        segmentor_type: str = 'EncoderDecoder',
        **segmentor: Any,
    ) -> None:
        name = f'{type(self).__name__}.checkpoints'
        paths = isinstance(checkpoints, (list, tuple)) and all(
            isinstance(each, str) and each for each in checkpoints
        )
        expect(paths and len(checkpoints) > 0, name, 'a list of paths', checkpoints)
        other = dict(segmentor, type=segmentor_type)
        others = [FixedTeacher(deepcopy(other), each) for each in checkpoints]
        super().__init__(segmentor_type, **segmentor)
        self.others: Any = nn.ModuleList(others)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        """Compute the mean logits (N, C, H, W) of normalised images (N, 3, H, W), at their size."""
        logits: Tensor = self.decode_head.predict_by_feat(self._forward(inputs), batch_img_metas)
        return logits

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        logits: Tensor = super()._forward(inputs, data_samples)  # (N, C, h, w)
        for other in self.others:
            logits = logits + other(inputs)
        return logits / (1 + len(self.others))

    def _load_from_state_dict(self, *args: Any) -> None:
        for other in self.others:
            other.init_weights()
        super()._load_from_state_dict(*args)
