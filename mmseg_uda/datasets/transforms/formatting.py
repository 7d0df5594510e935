"""Packing of pseudo labels beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

__all__ = ['PackUDAInputs']

META_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
             'flip', 'flip_direction', 'reduce_zero_label', 'pseudo_path')


@TRANSFORMS.register_module()
class PackUDAInputs(PackSegInputs):
    """Stock ``PackSegInputs`` that also packs the pseudo label.

    ``results['pseudo_seg_map']``, shape (H, W), becomes ``SegDataSample.pseudo_sem_seg``: a
    ``PixelData`` whose ``data`` has shape (1, H, W), int64. Ground truth stays ``gt_sem_seg``, so
    the two can never be taken for one another.

    Args:
        meta_keys: Keys of ``results`` that go into the sample's meta information, if present.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack ``results`` into ``dict(inputs=Tensor (3, H, W), data_samples=SegDataSample)``.

        Raises:
            ValueError: If the pseudo label is not (H, W) or not of the image's size.
        """
        packed: dict[str, Any] = super().transform(results)
        if 'pseudo_seg_map' not in results:
            return packed
        label = results['pseudo_seg_map']
        if label.ndim != 2:
            raise ValueError(
                f'PackUDAInputs.pseudo_seg_map got shape {label.shape}; write a single-channel '
                'label map of shape (H, W) instead')
        if 'img' in results and label.shape != results['img'].shape[:2]:
            raise ValueError(
                f'PackUDAInputs.pseudo_seg_map got shape {label.shape} for an image of shape '
                f'{results["img"].shape[:2]}; write LoadPseudoLabels before the transforms that '
                "change the size, and pad by the model's data_preprocessor instead of Pad, which "
                'moves ground truth only')
        data = torch.from_numpy(label[None].astype(np.int64))
        packed['data_samples'].pseudo_sem_seg = PixelData(data=data)
        return packed
