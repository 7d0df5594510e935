"""Street scenes with Cityscapes' 19 train ids."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_uda.datasets.checked import CheckedDataset

__all__ = ['StreetDataset']


@DATASETS.register_module()
class StreetDataset(CheckedDataset):
    """Images and, optionally, labels with Cityscapes' 19 train ids (255 is ignored).

    In contrast to mmseg's datasets, it refuses a missing or empty directory and a missing label
    when it is built. A set without labels has no ``seg_map_path`` in ``data_prefix``.

    Args:
        img_suffix: Suffix of the image files.
        seg_map_suffix: Suffix of the label files.
        **kwargs: Arguments of :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        ValueError: If a directory, the list file, an image or a label is missing, or there are no
            images.
    """

    METAINFO = CityscapesDataset.METAINFO

    def __init__(
        self, img_suffix: str = '.png', seg_map_suffix: str = '_labelTrainIds.png', **kwargs: Any
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
