"""Training on the source domain alone: the lower bound of every table."""

from __future__ import annotations

from typing import Iterator

from mmseg.registry import MODELS

from mmseg_uda.models.uda.base import BaseUDASegmentor
from mmseg_uda.structures import DomainBatch, Losses

__all__ = ['SourceOnly']


@MODELS.register_module()
class SourceOnly(BaseUDASegmentor):
    """Supervised training on the source; no target image is read for it."""

    domains = ('source',)

    def losses(self, batch: DomainBatch) -> Iterator[Losses]:
        """One step."""
        yield self.supervised(self.segment(batch.source, 'source'), batch.source.labels)
