"""GTA5, the dataset."""

from __future__ import annotations

from mmseg.registry import DATASETS

from mmseg_uda.datasets.street import StreetDataset

__all__ = ['GTADataset']


@DATASETS.register_module()
class GTADataset(StreetDataset):
    """GTA5, 24,966 rendered images of 1914x1052 with all 19 classes.

    Richter et al., *Playing for Data: Ground Truth from Computer Games* (ECCV 2016). Run
    ``tools/dataset_converters/gta.py`` first: it writes ``labels/00001_labelTrainIds.png`` for
    ``images/00001.png``, and ``train.txt``, the ``ann_file`` of all samples with a valid label.
    """
