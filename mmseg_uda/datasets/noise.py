"""Random images and labels, for measurements that no file should be needed for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from mmseg_uda.utils.arguments import check_choice, check_integer, check_sequence

__all__ = ['NoiseDataset']

FIELDS = (
    *('gt_sem_seg', 'pseudo_sem_seg', 'soft_label', 'image_label', 'label_mask'),
    'prior_positions',
)
BLOCK = 32  # side of the label's squares, in pixels
SOFT_STRIDE = 8  # of class probabilities on disk, in pixels


@DATASETS.register_module()
class NoiseDataset(Dataset[Any]):
    """Random images, and random labels in squares, packed as the pipelines of trainings do.

    Args:
        size: Height and width of the images.
        num_classes: Number of classes.
        fields: Labels of each sample: of ``gt_sem_seg``, ``pseudo_sem_seg``, ``soft_label``,
            ``image_label``, ``label_mask`` and ``prior_positions``.
        channels: Channels of the images.
        prior_size: Height and width of the spatial prior, for ``prior_positions``.
        length: Number of samples; a sample is a function of its index.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        size: Sequence[int],
        num_classes: int,
        fields: Sequence[str] = (),
        channels: int = 3,
        prior_size: Sequence[int] = (1, 1),
        length: int = 64,
    ) -> None:
        for key, value in (
            ('num_classes', num_classes),
            ('channels', channels),
            ('length', length),
        ):
            check_integer(f'NoiseDataset.{key}', value, 1)
        for field in fields:
            check_choice('NoiseDataset.fields', field, FIELDS)
        for key, pair in (('prior_size', prior_size), ('size', size)):
            check_sequence(f'NoiseDataset.{key}', pair, check_integer, 1, length=2)
        self.size = tuple(size)
        self.num_classes = num_classes
        self.fields = tuple(fields)
        self.channels = channels
        self.prior_size = tuple(prior_size)
        self.length = length
        self.metainfo = dict(classes=tuple(map(str, range(num_classes))))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        meta = dict(img_shape=self.size, ori_shape=self.size, pad_shape=self.size)
        sample = SegDataSample(metainfo=dict(meta, sample_idx=index))
        for field in self.fields:
            setattr(sample, field, self._label(field, generator))
        shape = (self.channels, *self.size)
        image = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        return dict(inputs=image, data_samples=sample)

    def _label(self, field: str, generator: torch.Generator) -> Any:
        height, width = self.size
        if field == 'image_label':
            return torch.rand(self.num_classes, generator=generator)
        if field == 'soft_label':
            size = (self.num_classes, height // SOFT_STRIDE, width // SOFT_STRIDE)
            return torch.rand(size, generator=generator).softmax(0).half()
        if field == 'label_mask':
            return PixelData(data=torch.ones(1, height, width, dtype=torch.bool))
        if field == 'prior_positions':
            cells = torch.zeros(1, height, width, dtype=torch.int32)
            return PixelData(data=cells, metainfo=dict(prior_shape=self.prior_size))
        squares = (1, -(-height // BLOCK), -(-width // BLOCK))
        label = torch.randint(self.num_classes, squares, generator=generator)
        label = label.repeat_interleave(BLOCK, 1).repeat_interleave(BLOCK, 2)
        return PixelData(data=label[:, :height, :width].contiguous())
