"""Street scenes with Cityscapes' 19 train ids."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_uda.datasets.checks import check_dataset, check_folders

__all__ = ['StreetDataset']


@DATASETS.register_module()
class StreetDataset(BaseSegDataset):
    """Images and, optionally, labels with Cityscapes' 19 train ids (255 is ignored).

    In contrast to its base class, it refuses a missing or empty directory and a missing label when
    it is built. A set without labels has no ``seg_map_path`` in ``data_prefix``.

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

    def load_data_list(self) -> list[dict[str, Any]]:
        """List all samples; see the base class."""
        # Before the base class lists files, whose errors do not name the directory.
        check_folders(
            {
                'type': type(self).__name__,
                'data_prefix': self.data_prefix,
                'ann_file': self.ann_file,
                'img_suffix': self.img_suffix,
                'backend_args': self.backend_args,
            }
        )
        return super().load_data_list()

    def full_init(self) -> None:
        """Load the list and check that the files exist; see the base class."""
        if self._fully_initialized:
            return
        super().full_init()
        check_dataset(self)
