"""Base of the transforms of a whole batch."""

from __future__ import annotations

from torch import nn

__all__ = ['BatchTransform', 'check_share']


class BatchTransform(nn.Module):
    """Base of transforms that change a whole batch on its device.

    The registry ``TRANSFORMS`` builds them for a method. They cannot stand in the pipeline of a
    dataset, which passes single samples; a config that places one there is refused by
    ``is_batch_transform``.
    """

    is_batch_transform = True


def check_share(key: str, value: float, whole: bool = False) -> float:
    """Check that a share lies in (0, 1), or in (0, 1] where the whole is a share.

    Raises:
        ValueError: If it does not.

    Example:
        >>> check_share('ClassMix.share', 1, whole=True)
        1.0
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (0 < value < 1 or (whole and value == 1)):
        bound = ']' if whole else ')'
        raise ValueError(f'{key}: expected a number in (0, 1{bound}, but got {value!r}')
    return float(value)
