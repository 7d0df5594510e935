"""A segmentor with a discriminator's attention."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.utils import ConfigType

__all__ = ['AttendedSegmentor']


@MODELS.register_module()
class AttendedSegmentor(BaseModule):
    """Any segmentor of mmseg with a :class:`DiscriminatorAttention`, for training and for testing.

    An instance is of both classes, this one and the stock one, whose weights keep their names;
    the discriminator's are ``attention.discriminator.*``.

    Args:
        attention: Config of the attention.
        segmentor_type: Registered name of the stock segmentor.
        segmentor: Arguments of the stock segmentor.

    Raises:
        TypeError: ``segmentor_type`` is no segmentor.
    """

    attention: Any

    def __init__(
        self, attention: ConfigType, segmentor_type: str = 'EncoderDecoder', **segmentor: Any
    ) -> None:
        stock = MODELS.get(segmentor_type)
        if not (isinstance(stock, type) and issubclass(stock, BaseSegmentor)):
            raise TypeError(
                'AttendedSegmentor.segmentor_type: expected the name of a segmentor, but got '
                f"{segmentor_type!r}; write for example 'EncoderDecoder'"
            )
        # The config chooses the second base class, so that it is known only here.
        self.__class__ = type(
            f'Attended{stock.__name__}', (type(self), stock), dict(__module__=__name__)
        )
        super().__init__(**segmentor)  # the stock class's
        MODELS.build(attention).attach(self)
