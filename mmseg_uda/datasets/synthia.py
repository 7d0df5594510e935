"""SYNTHIA-RAND-CITYSCAPES."""

from __future__ import annotations

from mmseg.registry import DATASETS

from mmseg_uda.datasets.street import StreetDataset

__all__ = ['SYNTHIADataset']


@DATASETS.register_module()
class SYNTHIADataset(StreetDataset):
    """SYNTHIA-RAND-CITYSCAPES, 9,400 rendered images of 1280x760 with 16 of the 19 classes.

    Paper: *The SYNTHIA Dataset* (CVPR 2016). Terrain, truck and train do not occur; the network
    keeps its 19 outputs and :class:`~mmseg_uda.evaluation.SubsetIoUMetric` averages over the
    classes that both domains have. The labels are those that
    ``tools/dataset_converters/synthia.py`` writes: ``RGB/0000000.png`` has
    ``GT/LABELS/0000000_labelTrainIds.png``. The converter also writes ``train.txt`` with all
    samples whose label is sound: give it as ``ann_file``.
    """
