"""The student: how a method comes by it, and what a checkpoint must hold to be the method's."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor, nn

from mmseg_uda.artifacts.checkpoint import raise_mismatch

__all__ = ['auxiliary_heads', 'build_student', 'fit_checkpoint']


def build_student(
    owner: str, segmentor: ConfigType, data_preprocessor: OptConfigType
) -> tuple[Any, ConfigType]:
    """Build a method's student, which leaves its data preprocessor to the method.

    Args:
        owner: Name of the method, for errors.
        segmentor: Config of a mmseg segmentor.
        data_preprocessor: Config of a :class:`UDADataPreprocessor`; None for one that treats both
            domains as the segmentor's own does. One of mmseg's is taken for both domains if the
            segmentor has none.

    Returns:
        The student, and the config of the method's data preprocessor, which knows the labels that
        the student can learn.

    Raises:
        TypeError: The segmentor has several decode heads.
        ValueError: There is no data preprocessor, or no ``test_cfg``.
    """
    segmentor = dict(segmentor)
    own_preprocessor = segmentor.pop('data_preprocessor', None)
    student = MODELS.build(segmentor)
    if isinstance(student.decode_head, nn.ModuleList):
        raise TypeError(
            f'{owner}.segmentor got {type(student).__name__}, a cascade of decode '
            'heads; write a segmentor with one decode head'
        )
    if getattr(student, 'test_cfg', {}) is None:  # mmseg would stumble in the first validation
        raise ValueError(f"{owner}.segmentor.test_cfg is missing; write dict(mode='whole')")
    if data_preprocessor is None or _is_of_one_domain(data_preprocessor):
        # mmengine hands down what mmseg's base models have at top level; a student's own is nearer.
        own_preprocessor = own_preprocessor or data_preprocessor
        if own_preprocessor is None:
            raise ValueError(
                f'{owner}.segmentor.data_preprocessor is missing; write '
                "dict(type='SegDataPreProcessor', mean=..., std=...)"
            )
        data_preprocessor = dict(type='UDADataPreprocessor', source=own_preprocessor)
    labels = dict(num_classes=student.num_classes, ignore_index=student.decode_head.ignore_index)
    return student, {**labels, **data_preprocessor}


def _is_of_one_domain(data_preprocessor: ConfigType) -> bool:
    cls = data_preprocessor.get('type')
    cls = MODELS.get(cls) if isinstance(cls, str) else cls
    return isinstance(cls, type) and issubclass(cls, SegDataPreProcessor)


def auxiliary_heads(student: Any) -> list[Any]:
    """Heads that learn the pixels' labels beside the decode head.

    Those with ``method_trains``, which a method trains in its own way, are not among them.
    """
    heads = getattr(student, 'auxiliary_head', None) or []
    return [
        head
        for head in (heads if isinstance(heads, (list, nn.ModuleList)) else [heads])
        if not getattr(head, 'method_trains', False)
    ]


def fit_checkpoint(method: Any, state_dict: dict[str, Tensor], prefix: str = '') -> None:
    """Make a stock mmseg checkpoint the student's, in place, and refuse another network's.

    A method's teacher begins as the student where the checkpoint knows of no teacher.

    Args:
        method: A :class:`BaseUDASegmentor`.
        state_dict: The checkpoint's weights, with or without ``student.`` before the names.
        prefix: What stands before the method's own names.

    Raises:
        ValueError: A tensor of the student or of the teacher is missing, or a parameter has another
            shape.
    """
    student: nn.Module = method.student
    prefixed = f'{prefix}student.'
    if state_dict and not any(key.startswith(prefixed) for key in state_dict):
        heads = tuple(f'{prefix}{name}.' for name, _ in student.named_children())
        for key in [key for key in state_dict if key.startswith(heads)]:
            state_dict[prefixed + key[len(prefix) :]] = state_dict.pop(key)
    raise_mismatch(type(method).__name__, student, state_dict, prefixed)
    if not hasattr(method, 'teacher'):
        return
    teacher, averaged = method.teacher, f'{prefix}teacher.'
    if not any(key.startswith(averaged) for key in state_dict):
        state_dict.update(
            {
                f'{averaged}module.{key}': state_dict[prefixed + key].clone()
                for key in student.state_dict()
                if prefixed + key in state_dict
            }
        )
        state_dict[f'{averaged}steps'] = torch.zeros_like(teacher.steps)
    raise_mismatch(type(method).__name__, teacher, state_dict, averaged)
