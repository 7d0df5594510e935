"""Training on the source domain alone: the lower bound of every table."""

from __future__ import annotations

from typing import Iterator

from mmseg.registry import MODELS

from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, Losses

__all__ = ['SourceOnly']


@MODELS.register_module()
class SourceOnly(BaseUDASegmentor):
    """Supervised training on the source, which reads no target image.

    Takes the arguments of :class:`BaseUDASegmentor`.
    """

    domains = passes = ('source',)

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """One step, the cross entropy on the source."""
        source = self.segment(batch.source, 'source')  # logits (N, C, h, w)
        yield self.supervised_losses(source, batch.source.labels)
