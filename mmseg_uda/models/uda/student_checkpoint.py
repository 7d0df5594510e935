"""What a checkpoint must hold to be a method's."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ['fit_checkpoint']


def fit_checkpoint(method: Any, state_dict: dict[str, Tensor], prefix: str = '') -> None:
    """Make a stock mmseg checkpoint the student's, in place, and refuse another network's.

    Args:
        method: A :class:`BaseUDASegmentor`.
        state_dict: The checkpoint's weights, with or without ``student.`` before the names.
        prefix: What stands before the method's own names.

    Raises:
        ValueError: A tensor of the student is missing, or a parameter has another shape.
    """
    student: nn.Module = method.student
    prefixed = f'{prefix}student.'
    if state_dict and not any(key.startswith(prefixed) for key in state_dict):
        heads = tuple(f'{prefix}{name}.' for name, _ in student.named_children())
        for key in [key for key in state_dict if key.startswith(heads)]:
            state_dict[prefixed + key[len(prefix):]] = state_dict.pop(key)
    # Of parameters only: a buffer may grow with what it stores.
    shapes = {name: param.shape for name, param in student.named_parameters()}
    names = list(student.state_dict())
    wrong = [
        name for name in names if prefixed + name not in state_dict
        or state_dict[prefixed + name].shape != shapes.get(name, state_dict[prefixed + name].shape)
    ]
    if wrong:
        raise ValueError(
            f'{type(method).__name__}: the checkpoint is of another method or network: '
            f'{len(wrong)} of {len(names)} tensors of the student are missing or of another shape, '
            f'the first is {prefixed}{wrong[0]}; give the config that wrote the checkpoint')
