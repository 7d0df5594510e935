"""Base of the transforms of a whole batch."""

from __future__ import annotations

from torch import nn

from mmseg_uda.utils.arguments import expect

__all__ = ['BatchTransform', 'check_share']


class BatchTransform(nn.Module):
    """Base of transforms that change a whole batch on its device.

    The registry ``TRANSFORMS`` builds them for a method. They cannot stand in the pipeline of a
    dataset, which passes single samples; a config that places one there is refused by
    ``is_batch_transform``.

    Example:
        >>> class Invert(BatchTransform):
        ...     def forward(self, images):  # (N, 3, H, W)
        ...         return -images
        >>> Invert.is_batch_transform
        True
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
    inside = number and (0 < value < 1 or (whole and value == 1))
    expect(inside, key, f'a number in (0, 1{"]" if whole else ")"}', value)
    return float(value)
