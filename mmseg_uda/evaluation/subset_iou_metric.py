"""Mean IoU over subsets of the classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from mmseg_uda.config.metrics import iou_names
from mmseg_uda.utils.arguments import expect

__all__ = ['CLASS_SUBSETS', 'SubsetIoUMetric']

CLASS_SUBSETS: dict[str, tuple[int, ...]] = {
    'cityscapes19': tuple(range(19)),
    'synthia16': (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18),
    'synthia13': (0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18),  # without wall, fence, pole
    'camvid11': (0, 1, 2, 4, 5, 7, 8, 10, 11, 12, 13),
}
"""Cityscapes train ids of the common class sets, in Cityscapes' order."""

Subset = str | Sequence[int]


@METRICS.register_module()
class SubsetIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric``, averaged over subsets of the classes.

    The IoU and accuracy of every class are computed on all labelled pixels, exactly as
    ``IoUMetric`` does: a prediction of a class outside of the subset is an error. Only the mean is
    taken over a subset. ``mIoU`` and ``mAcc`` (or the names that ``iou_metrics`` asks for) are
    those of the first subset; ``mIoU_<name>`` and ``mAcc_<name>`` those of each. ``aAcc`` is the
    accuracy over all labelled pixels.

    A class in neither ground truth nor prediction is NaN and left out of every mean, as in
    ``IoUMetric`` (unless ``nan_to_num`` is given); a class that is only predicted counts as 0.

    Args:
        subsets: Name -> train ids, or name -> a name of ``CLASS_SUBSETS``; or one or several such
            names. The first one is the primary one.
        per_class: Add ``IoU_<class>`` (and so on) of every class to the metrics.
        **kwargs: Arguments of :class:`mmseg.evaluation.IoUMetric`.

    Raises:
        ValueError: If a subset is unknown, empty, or repeats an id; at the first use, if an id or a
            label is outside of the dataset's classes.

    Example:
        >>> metric = SubsetIoUMetric(['synthia16', 'synthia13'], prefix='val')
        >>> {name: len(ids) for name, ids in metric.subsets.items()}
        {'synthia16': 16, 'synthia13': 13}
    """

    def __init__(
        self,
        subsets: Mapping[str, Subset] | str | Sequence[str] = 'cityscapes19',
        per_class: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.per_class = per_class
        if isinstance(subsets, str):
            subsets = [subsets]
        if not isinstance(subsets, Mapping):
            subsets = {str(name): name for name in subsets}
        known = f'one or several of {sorted(CLASS_SUBSETS)}'
        expect(bool(subsets), 'SubsetIoUMetric.subsets', known, subsets)
        self.subsets = {name: self._ids(name, subset) for name, subset in subsets.items()}

    @staticmethod
    def metric_names(
        subsets: Iterable[str] = 'cityscapes19',
        per_class: bool = False,
        iou_metrics: str | Sequence[str] = 'mIoU',
        **kwargs: Any,
    ) -> set[str]:
        """Names of the metrics; a pattern for those of classes."""
        subsets = [subsets] if isinstance(subsets, str) else subsets
        names = iou_names(iou_metrics)
        means = names - {'aAcc'}
        of_classes = {f'{name[1:]}_*' for name in means if per_class}
        return names | of_classes | {f'{name}_{subset}' for name in means for subset in subsets}

    @staticmethod
    def _ids(name: str, subset: Subset) -> list[int]:
        if isinstance(subset, str):
            known = f'one of {sorted(CLASS_SUBSETS)}, or a dict of name and train ids'
            expect(subset in CLASS_SUBSETS, 'SubsetIoUMetric.subsets', known, subset)
            return list(CLASS_SUBSETS[subset])
        ids = list(subset)
        expect(
            bool(ids)
            and len(set(ids)) == len(ids)
            and all(isinstance(index, int) and index >= 0 for index in ids),
            f'SubsetIoUMetric.subsets[{name!r}]',
            'at least one train id, and none twice',
            ids,
        )
        return ids

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Process one batch; see the base class."""
        num_classes = len(self.dataset_meta['classes'])
        for name, ids in self.subsets.items():
            key, known = f'SubsetIoUMetric.subsets[{name!r}]', f'train ids in 0..{num_classes - 1}'
            expect(max(ids) < num_classes, key, f'{known}, the classes of the dataset', ids)
        # With format_only there may be no ground truth.
        for sample in () if self.format_only else data_samples:
            self._check_label(sample, num_classes)
        super().process(data_batch, data_samples)

    def _check_label(self, sample: dict[str, Any], num_classes: int) -> None:
        label = sample['gt_sem_seg']['data']  # (1, H, W)
        wrong = label[(label >= num_classes) & (label != self.ignore_index)]
        if wrong.numel():
            raise ValueError(
                f'SubsetIoUMetric: expected labels in 0..{num_classes - 1} or {self.ignore_index} '
                f'(ignored), but got {int(wrong[0])} in '
                f'{sample.get("seg_map_path", "a ground truth")!r}; convert the labels to train '
                'ids with tools/dataset_converters'
            )

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Compute the metrics; see the base class.

        Args:
            results: Intersection, union, prediction and label areas of every image.

        Returns:
            ``aAcc``, and per metric the mean over the first and over each subset, in percent.
        """
        metrics: dict[str, float] = super().compute_metrics(results)
        if self.format_only:
            return metrics
        areas = (sum(area) for area in zip(*results))
        per_class = self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta)
        per_class.pop('aAcc')  # a number; the others are arrays (C,)
        for key, values in per_class.items():
            means = {name: _mean(values[ids]) for name, ids in self.subsets.items()}
            # The base class averages over all classes; the first subset replaces that.
            metrics[f'm{key}'] = next(iter(means.values()))
            metrics.update({f'm{key}_{name}': mean for name, mean in means.items()})
            if self.per_class:
                for name, value in zip(self.dataset_meta['classes'], values):
                    metrics[f'{key}_{name}'] = float(np.round(value * 100, 2))
        sizes = ', '.join(f'{name} ({len(ids)} classes)' for name, ids in self.subsets.items())
        print_log(f'means over {sizes}; the first is mIoU', MMLogger.get_current_instance())
        return metrics


def _mean(values: np.ndarray) -> float:
    return float(np.round(np.nanmean(values) * 100, 2))
