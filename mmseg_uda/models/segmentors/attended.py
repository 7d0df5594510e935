"""A stock segmentor with a discriminator's attention."""

from __future__ import annotations

from typing import Any

from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.utils import ConfigType

__all__ = ['attended_segmentor']


@MODELS.register_module(name='AttendedSegmentor')
def attended_segmentor(
    attention: ConfigType, segmentor_type: str = 'EncoderDecoder', **segmentor: Any
) -> BaseSegmentor:
    """A stock segmentor with a :class:`DiscriminatorAttention`, for methods and for test tools.

    Its weights keep their names; the discriminator's are ``attention.discriminator.*``.

    Args:
        attention: Config of the attention.
        segmentor_type: Any segmentor of mmseg.
        segmentor: The arguments of that segmentor.
    """
    model = MODELS.build({**segmentor, 'type': segmentor_type})
    MODELS.build(attention).attach(model)
    return model
