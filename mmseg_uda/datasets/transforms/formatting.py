"""Packing of pseudo labels beside the ground truth, and of tracked positions."""

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
    """Stock ``PackSegInputs`` that also packs the pseudo label and positions in a spatial prior.

    ``results['pseudo_seg_map']``, shape (H, W), becomes ``SegDataSample.pseudo_sem_seg``: a
    ``PixelData`` whose ``data`` has shape (1, H, W), int64. Ground truth stays ``gt_sem_seg``, so
    the two can never be taken for one another. What :class:`TrackPositions` tracked, if it is
    there, becomes ``SegDataSample.prior_positions``: ``data`` of shape (1, H, W), int32, the flat
    index of a cell of the prior or -1 for none, with ``prior_shape`` (height, width) as meta
    information. :class:`LoadImageLabels`' label becomes ``SegDataSample.image_label``, a float32
    tensor (C, ).

    Args:
        meta_keys: Keys of ``results`` that go into the sample's meta information, if present.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack ``results`` into ``dict(inputs=Tensor (3, H, W), data_samples=SegDataSample)``.

        Raises:
            ValueError: If the pseudo label is not (H, W), or what goes with the image is not of its
                size.
        """
        packed: dict[str, Any] = super().transform(results)
        if 'pseudo_seg_map' in results:
            data = torch.from_numpy(self._pseudo_label(results)[None].astype(np.int64))
            packed['data_samples'].pseudo_sem_seg = PixelData(data=data)
        if 'image_label' in results:
            packed['data_samples'].image_label = torch.from_numpy(results['image_label'])
        if 'prior_positions' in results:
            packed['data_samples'].prior_positions = self._positions(results)
        return packed

    @staticmethod
    def _pseudo_label(results: dict[str, Any]) -> NDArray[np.uint8]:
        label: NDArray[np.uint8] = results['pseudo_seg_map']
        if label.ndim != 2:
            raise ValueError(
                f'PackUDAInputs.pseudo_seg_map got shape {label.shape}; write a single-channel '
                'label map of shape (H, W) instead'
            )
        if 'img' in results and label.shape != results['img'].shape[:2]:
            raise ValueError(
                f'PackUDAInputs.pseudo_seg_map got shape {label.shape} for an image of shape '
                f'{results["img"].shape[:2]}; write LoadPseudoLabels before the transforms that '
                "change the size, and pad by the model's data_preprocessor instead of Pad, which "
                'moves ground truth only'
            )
        return label

    @staticmethod
    def _positions(results: dict[str, Any]) -> PixelData:
        positions = results['prior_positions']
        if 'img' in results and positions.shape != results['img'].shape[:2]:
            raise ValueError(
                f'PackUDAInputs.prior_positions got shape {positions.shape} for an image of shape '
                f'{results["img"].shape[:2]}; write TrackPositions before the transforms that '
                "change the size, and pad by the model's data_preprocessor instead of Pad, which "
                'moves ground truth only'
            )
        cells = np.maximum(positions.astype(np.int32) - OFFSET, NOWHERE)
        return PixelData(
            data=torch.from_numpy(cells[None]), metainfo=dict(prior_shape=results['prior_shape'])
        )
