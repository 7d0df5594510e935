"""Metrics."""

from .subset_iou_metric import CLASS_SUBSETS, SubsetIoUMetric

__all__ = ['CLASS_SUBSETS', 'SubsetIoUMetric']
