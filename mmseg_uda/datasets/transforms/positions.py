"""Where the pixels of a cropped, resized and flipped image were in the whole one."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_uda.datasets.transforms.loading import resize_label
from mmseg_uda.structures import OFFSET

__all__ = ['TrackPositions']


@TRANSFORMS.register_module()
class TrackPositions(BaseTransform):
    """Note for every pixel the cell of a spatial prior that it lies in.

    Put it after ``LoadImageFromFile``, before ``RandomCrop`` and ``RandomFlip``; before or after
    ``Resize``. The map joins ``results['seg_fields']``, so that mmseg's transforms move it in step
    with the image, and ``PackUDAInputs`` hands it on. Where the image is resized to the prior's
    size, each pixel gets exactly its own cell.

    Required key: ``img``. Added keys: ``prior_positions`` (H, W) float32 (OpenCV resizes no
    integers of that size), the flat index of the cell plus 256; ``prior_shape``. Modified keys:
    ``seg_fields``.

    Args:
        height: H of the prior, as given to ``tools/spatial_prior.py --size H W``.
        width: W of the prior.
    """

    loads_labels = False
    is_random = False

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        for key, value in (('height', height), ('width', width)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f'TrackPositions.{key} got {value!r}; write a number of pixels instead'
                )
        if height * width + OFFSET > 2**24:
            raise ValueError(
                f'TrackPositions got height={height}, width={width}, more cells than '
                'float32 can count; make a smaller spatial prior'
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
                'TrackPositions got an image that was flipped already; write '
                'TrackPositions before RandomCrop and RandomFlip instead'
            )
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
