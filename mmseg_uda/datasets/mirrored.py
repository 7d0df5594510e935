"""Images and their mirror images, for scores of consistency."""

from __future__ import annotations

from typing import Any

from mmseg.registry import DATASETS
from torch.utils.data import Dataset

__all__ = ['MirroredViews']


@DATASETS.register_module()
class MirroredViews(Dataset[Any]):
    """Every image of a dataset twice: as it is, and directly after that mirrored.

    The sample of a mirrored image says so, so that a segmentor's ``predict`` mirrors its result
    back. Labels, if there are any, stay as they are.

    Args:
        dataset: A dataset of packed samples, or its config.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes and palette."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the list of images."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return 2 * len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = dict(self.dataset[index // 2])
        if index % 2:
            sample['inputs'] = sample['inputs'].flip(-1)  # (3, H, W)
            sample['data_samples'].set_metainfo(dict(flip=True, flip_direction='horizontal'))
        return sample
