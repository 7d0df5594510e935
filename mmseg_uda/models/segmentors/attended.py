"""A segmentor with a discriminator's attention."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS
from mmseg.utils import ConfigType

from mmseg_uda.models.segmentors.extended import ExtendedSegmentor

__all__ = ['AttendedSegmentor']


@MODELS.register_module()
class AttendedSegmentor(ExtendedSegmentor):
    """Any segmentor of mmseg with a :class:`DiscriminatorAttention`, for training and for testing.

    The discriminator's weights are ``attention.discriminator.*``.

    Args:
        attention: Config of the attention.
        segmentor_type: As for :class:`ExtendedSegmentor`.
        segmentor: As for :class:`ExtendedSegmentor`.
    """

    attention: Any

    def __init__(
        self, attention: ConfigType, segmentor_type: str = 'EncoderDecoder', **segmentor: Any
    ) -> None:
        super().__init__(segmentor_type, **segmentor)
        MODELS.build(attention).attach(self)
