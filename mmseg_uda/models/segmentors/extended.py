"""Base of segmentors that extend any other one."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS

__all__ = ['ExtendedSegmentor']


class ExtendedSegmentor(BaseModule):
    """A segmentor that extends another one, which the config names.

    An instance is of both classes, this one and the stock one, whose weights keep their names.

    Args:
        segmentor_type: Registered name of the stock segmentor.
        segmentor: Arguments of the stock segmentor.

    Raises:
        TypeError: ``segmentor_type`` is no segmentor.
    """

    def __init__(self, segmentor_type: str, **segmentor: Any) -> None:
        stock = MODELS.get(segmentor_type)
        name = type(self).__name__
        if not (isinstance(stock, type) and issubclass(stock, BaseSegmentor)):
            raise TypeError(
                f'{name}.segmentor_type: expected the name of a segmentor, but got '
                f"{segmentor_type!r}; write for example 'EncoderDecoder'"
            )
        # The config chooses the second base class, so that it is known only here.
        kind = f'{name.removesuffix("Segmentor")}{stock.__name__}'
        self.__class__ = type(kind, (type(self), stock), dict(__module__=__name__))
        super().__init__(**segmentor)  # the stock class's
