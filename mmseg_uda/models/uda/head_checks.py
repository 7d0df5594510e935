"""Decode heads that cannot be those of a student, found before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmseg.models.decode_heads import IterativeDecodeHead, SideAdapterCLIPHead
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import CascadeEncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import ConfigType

__all__ = ['check_decode_head']

INSTEAD = "write one such as 'SegformerHead', 'DAFormerHead' or 'UPerHead'"


def check_decode_head(owner: str, segmentor: ConfigType) -> None:
    """Check that a segmentor has one decode head that computes logits of each pixel.

    A head around a mask classifier may compute them: the logarithm of each class's score, summed
    over queries and normalised over classes. As a ``BaseDecodeHead`` it passes.

    Args:
        owner: Name of the method, for errors.
        segmentor: Its config.

    Raises:
        TypeError: There are several heads, or the head refines another's output, or classifies
            masks.
    """
    head = segmentor.get('decode_head')
    kind = _class_of(segmentor)
    cascade = isinstance(kind, type) and issubclass(kind, CascadeEncoderDecoder)
    if cascade or isinstance(head, (list, tuple)):
        name = getattr(kind, '__name__', segmentor.get('type'))
        raise TypeError(
            f'{owner}.segmentor: expected one decode head, but got {name}, a cascade of them; '
            "write type='EncoderDecoder' with one of its heads, and another as auxiliary_head"
        )
    cls = _class_of(head)
    if not isinstance(cls, type):  # MMEngine says what is wrong
        return
    reason = None
    if issubclass(cls, BaseCascadeDecodeHead):
        reason = "which refines another head's output"
    elif issubclass(cls, (IterativeDecodeHead, SideAdapterCLIPHead)) or not issubclass(
        cls, BaseDecodeHead
    ):  # K-Net, SAN; MaskFormer and Mask2Former are no heads of mmseg's base class
        reason = 'which classifies masks'
    if reason:
        raise TypeError(
            f'{owner}.segmentor.decode_head: expected a head that computes logits (N, C, h, w), '
            f'but got {cls.__name__}, {reason}; {INSTEAD}'
        )


def _class_of(part: Any) -> Any:
    kind = part.get('type') if isinstance(part, Mapping) else None
    return MODELS.get(kind) if isinstance(kind, str) else kind
