"""Margins of an image in which a teacher's labels do not count."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_uda.utils.arguments import check_number, expect

__all__ = ['IgnoreMargins']


@TRANSFORMS.register_module()
class IgnoreMargins(BaseTransform):
    """Mark the margins of a target image, whose pseudo labels shall weigh 0 (DAFormer, HRDA).

    In Cityscapes these are the borders of rectification and the car's bonnet. Put it after
    ``LoadImageFromFile``, before ``RandomCrop`` and ``RandomFlip``: the mask joins
    ``results['seg_fields']``, so that mmseg's transforms move it in step with the image. Padded
    pixels weigh 0, too. DAFormer marks the rows of the crop instead, which is the same while
    crops are as high as the resized images.

    Required key: ``img``. Added key: ``label_mask`` (H, W) uint8, 1 where labels count and 0 in the
    margins. Modified key: ``seg_fields``.

    Args:
        top: Share of the rows, in [0, 1); so is the next. HRDA: 30 of 1,024 and 240 of 1,024.
        bottom: The same.
        left: Share of the columns, in [0, 1); so is the next. HRDA: 30 of 2,048 each.
        right: The same.

    Raises:
        ValueError: A share is out of range, or nothing is left.

    Example:
        >>> results = IgnoreMargins(top=0.25, left=0.5)(dict(img=np.zeros((4, 2, 3), np.uint8)))
        >>> results['label_mask'].tolist()
        [[0, 0], [0, 1], [0, 1], [0, 1]]
    """

    loads_labels = False
    is_random = False

    def __init__(
        self, top: float = 0.0, bottom: float = 0.0, left: float = 0.0, right: float = 0.0
    ) -> None:
        super().__init__()
        self.shares = dict(top=top, bottom=bottom, left=left, right=right)
        for key, share in self.shares.items():
            check_number(f'IgnoreMargins.{key}', share, '[0, 1)')
        for one, other in (('top', 'bottom'), ('left', 'right')):
            both = self.shares[one] + self.shares[other]
            expect(both < 1, f'IgnoreMargins.{one}', f'less than 1 with {other}', both)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the mask.

        Raises:
            ValueError: If the image was flipped already.
        """
        if results.get('flip'):
            raise ValueError(
                'IgnoreMargins: expected an image as loaded, but got a flipped one; write '
                'IgnoreMargins before RandomCrop and RandomFlip'
            )
        height, width = results['img'].shape[:2]
        top, bottom, left, right = (
            round(self.shares[key] * size)
            for key, size in (
                ('top', height),
                ('bottom', height),
                ('left', width),
                ('right', width),
            )
        )
        mask = np.zeros((height, width), np.uint8)
        mask[top : height - bottom, left : width - right] = 1
        results['label_mask'] = mask
        results.setdefault('seg_fields', []).append('label_mask')
        return results

    def __repr__(self) -> str:
        shares = ', '.join(f'{key}={share}' for key, share in self.shares.items())
        return f'{type(self).__name__}({shares})'
