"""Positions in the whole image of the pixels of a cropped, resized and flipped one."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_uda.datasets.transforms.loading import resize_label
from mmseg_uda.structures import OFFSET
from mmseg_uda.utils.arguments import check_integer

__all__ = ['TrackPositions']


@TRANSFORMS.register_module()
class TrackPositions(BaseTransform):
    """Record for every pixel its cell in a spatial prior.

    Put it after ``LoadImageFromFile``, before ``RandomCrop`` and ``RandomFlip``, and before or
    after ``Resize`` (after one with ``backend='pillow'``, which takes uint8 only). The map joins
    ``results['seg_fields']``, so that mmseg's transforms move it in step with the image;
    ``PackUDAInputs`` packs it. If the image is resized to the prior's size, each pixel gets exactly
    its own cell.

    Required key: ``img``. Added keys: ``prior_positions`` (H, W) float32 (OpenCV does not resize
    integers of that size), the flat index of the cell plus 256; ``prior_shape``. Modified key:
    ``seg_fields``.

    Args:
        height: H of the prior, as given to ``tools/spatial_prior.py --size H W``.
        width: W of the prior.

    Example:
        >>> results = TrackPositions(height=2, width=2)(dict(img=np.zeros((2, 4, 3), np.uint8)))
        >>> results['prior_positions'] - OFFSET  # two columns of the image per cell
        array([[0., 0., 1., 1.],
               [2., 2., 3., 3.]], dtype=float32)
    """

    loads_labels = False
    is_random = False

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        for key, value in (('height', height), ('width', width)):
            check_integer(f'TrackPositions.{key}', value, 1)
        if height * width + OFFSET > 2**24:  # beyond, float32 skips integers
            raise ValueError(
                f'TrackPositions: expected at most {2**24 - OFFSET} cells, as float32 can count, '
                f'but got height={height}, width={width}; make a smaller spatial prior'
            )
        self.height = height
        self.width = width

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the positions.

        Raises:
            ValueError: If the image was flipped already.
        """
        if results.get('flip'):
            raise ValueError(
                'TrackPositions: expected an image as loaded, but got a flipped one; write '
                'TrackPositions before RandomCrop and RandomFlip'
            )
        # The offset keeps every cell apart from 255, with which transforms pad.
        cells = np.arange(OFFSET, OFFSET + self.height * self.width, dtype=np.float32)
        height, width = results['img'].shape[:2]
        results['prior_positions'] = resize_label(
            cells.reshape(self.height, self.width), height, width
        )
        results['prior_shape'] = (self.height, self.width)
        results.setdefault('seg_fields', []).append('prior_positions')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(height={self.height}, width={self.width})'
