"""GTA5."""

from __future__ import annotations

from mmseg.registry import DATASETS

from mmseg_uda.datasets.street import StreetDataset

__all__ = ['GTADataset']


@DATASETS.register_module()
class GTADataset(StreetDataset):
    """GTA5, 24,966 rendered images of 1914x1052 with all 19 classes.

    Paper: *Playing for Data: Ground Truth from Computer Games* (ECCV 2016). The labels are those
    that ``tools/dataset_converters/gta.py`` writes: ``images/00001.png`` has
    ``labels/00001_labelTrainIds.png``. The converter also writes ``train.txt`` with all samples
    whose label is sound: give it as ``ann_file``.
    """
