"""Metrics."""

from .entropy_metric import EntropyMetric
from .subset_iou_metric import CLASS_SUBSETS, SubsetIoUMetric

__all__ = ['CLASS_SUBSETS', 'EntropyMetric', 'SubsetIoUMetric']
