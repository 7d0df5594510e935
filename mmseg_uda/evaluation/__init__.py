"""Metrics."""

from mmseg_uda.evaluation.entropy_metric import EntropyMetric
from mmseg_uda.evaluation.label_free import SCORES
from mmseg_uda.evaluation.label_free_metric import LabelFreeMetric
from mmseg_uda.evaluation.subset_iou_metric import CLASS_SUBSETS, SubsetIoUMetric

__all__ = ['CLASS_SUBSETS', 'SCORES', 'EntropyMetric', 'LabelFreeMetric', 'SubsetIoUMetric']
