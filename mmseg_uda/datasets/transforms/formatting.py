"""Packing of pseudo labels beside ground truth, of tracked positions and of margins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from mmseg_uda.structures import NOWHERE, OFFSET

__all__ = ['PackUDAInputs']

META_KEYS = (
    'img_path',
    'seg_map_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
    'pseudo_path',
)


@TRANSFORMS.register_module()
class PackUDAInputs(PackSegInputs):
    """Stock ``PackSegInputs`` that also packs pseudo labels, image labels, positions and margins.

    Fields of the ``SegDataSample``, each if its transform stands in the pipeline:

    - ``pseudo_sem_seg`` of :class:`LoadPseudoLabels`: ``data`` (1, H, W), int64. Ground truth stays
      in ``gt_sem_seg``, so that the two cannot be confused.
    - ``prior_positions`` of :class:`TrackPositions`: ``data`` (1, H, W), int32, the flat index of a
      cell of the prior or -1 for none, and ``prior_shape`` (height, width) as meta information.
    - ``soft_label`` of :class:`LoadSoftLabels`: a float16 tensor (C, h, w).
    - ``label_mask`` of :class:`IgnoreMargins`: ``data`` (1, H, W), bool, False in margins.
    - ``image_label`` of :class:`LoadImageLabels`: a float32 tensor (C,).

    Args:
        meta_keys: Keys of ``results`` to copy into the sample's meta information, if present.

    Example:
        >>> label = np.array([[0, 255]], np.uint8)
        >>> results = dict(img=np.zeros((1, 2, 3), np.uint8), pseudo_seg_map=label)
        >>> PackUDAInputs()(results)['data_samples'].pseudo_sem_seg.data
        tensor([[[  0, 255]]])
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack ``results`` into ``dict(inputs=Tensor (3, H, W), data_samples=SegDataSample)``.

        Raises:
            ValueError: If a map is not of the image's size (H, W).
        """
        packed: dict[str, Any] = super().transform(results)
        sample = packed['data_samples']
        if 'pseudo_seg_map' in results:
            label = self._map(results, 'pseudo_seg_map', 'LoadPseudoLabels').astype(np.int64)
            sample.pseudo_sem_seg = PixelData(data=torch.from_numpy(label[None]))  # (1, H, W)
        if 'image_label' in results:
            sample.image_label = torch.from_numpy(results['image_label'])
        if 'soft_label' in results:
            sample.soft_label = torch.from_numpy(results['soft_label'])
        if 'prior_positions' in results:
            positions = self._map(results, 'prior_positions', 'TrackPositions').astype(np.int32)
            # Padding is below the offset: 0 or 255.
            cells = torch.from_numpy(np.maximum(positions - OFFSET, NOWHERE)[None])
            sample.prior_positions = PixelData(
                data=cells, metainfo=dict(prior_shape=results['prior_shape'])
            )
        if 'label_mask' in results:
            mask = self._map(results, 'label_mask', 'IgnoreMargins') == 1  # transforms pad with 255
            sample.label_mask = PixelData(data=torch.from_numpy(mask[None]))
        return packed

    @staticmethod
    def _map(results: dict[str, Any], key: str, origin: str) -> NDArray[Any]:
        """A map of the image's size."""
        values: NDArray[Any] = results[key]
        if values.ndim != 2 or values.shape != results.get('img', values).shape[:2]:
            size = results['img'].shape[:2] if 'img' in results else '(H, W)'
            raise ValueError(
                f'PackUDAInputs.{key}: expected shape {size}, the size of the image, but got '
                f'{values.shape}; write {origin} before the transforms that change the size, and '
                "pad by the model's data_preprocessor, because Pad moves ground truth only"
            )
        return values
