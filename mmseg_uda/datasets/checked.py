"""Datasets that refuse missing directories and files when they are built."""

from __future__ import annotations

from typing import Any

from mmseg.datasets import BaseSegDataset

from mmseg_uda.datasets.checks import check_dataset
from mmseg_uda.datasets.folders import check_folders

__all__ = ['CheckedDataset']


class CheckedDataset(BaseSegDataset):
    """A dataset that refuses a missing or empty directory and a missing label when it is built.

    Args:
        kwargs: As for mmseg's ``BaseSegDataset``.

    Raises:
        ValueError: If a directory, the list file, an image or a label is missing, or there are no
            images.
    """

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
        return self._list_samples()

    def _list_samples(self) -> list[dict[str, Any]]:
        """List all samples of directories that exist."""
        return super().load_data_list()

    def full_init(self) -> None:
        """Load the list and check that the files exist; see the base class."""
        if self._fully_initialized:
            return
        super().full_init()
        check_dataset(self)
