"""SYNTHIA-RAND-CITYSCAPES, the dataset."""

from __future__ import annotations

from mmseg.registry import DATASETS

from mmseg_uda.datasets.street import StreetDataset

__all__ = ['SYNTHIADataset']


@DATASETS.register_module()
class SYNTHIADataset(StreetDataset):
    """SYNTHIA-RAND-CITYSCAPES, 9,400 rendered images of 1280x760 with 16 of the 19 classes.

    Ros et al., *The SYNTHIA Dataset* (CVPR 2016). Terrain, truck and train do not occur. The
    network keeps its 19 outputs; :class:`~mmseg_uda.evaluation.SubsetIoUMetric` averages over the
    classes of both domains. Run ``tools/dataset_converters/synthia.py`` first: it writes
    ``GT/LABELS/0000000_labelTrainIds.png`` for ``RGB/0000000.png``, and ``train.txt``, the
    ``ann_file`` of all samples with a valid label.
    """
