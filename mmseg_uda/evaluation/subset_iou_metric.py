"""Mean IoU over a part of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

__all__ = ['CLASS_SUBSETS', 'SubsetIoUMetric']

CLASS_SUBSETS: dict[str, tuple[int, ...]] = {
    'cityscapes19': tuple(range(19)),
    'synthia16': (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18),
    'synthia13': (0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18),  # without wall, fence, pole
    'camvid11': (0, 1, 2, 4, 5, 7, 8, 10, 11, 12, 13),
}
"""Cityscapes train ids of the class sets in use; all have Cityscapes' order."""

Subset = Union[str, Sequence[int]]


@METRICS.register_module()
class SubsetIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric``, averaged over subsets of the classes.

    IoU and accuracy of every class are computed on all labelled pixels, exactly as ``IoUMetric``
    does: a prediction of a class outside the subset is still an error. Only then is the mean taken
    over a subset. ``mIoU`` and ``mAcc`` (or whatever ``iou_metrics`` asks for) are those of the
    first subset; ``mIoU_<name>`` and ``mAcc_<name>`` those of each. ``aAcc`` stays the accuracy
    over all labelled pixels.

    A class that neither ground truth nor prediction shows is NaN and left out of every mean, as in
    ``IoUMetric`` (unless ``nan_to_num`` is given); a class that is only predicted counts as 0.

    Args:
        subsets: Name -> train ids, or name -> a name of ``CLASS_SUBSETS``; or only one or several
            such names. The first one is the primary one.
        per_class: Whether the metrics also hold ``IoU_<class>`` (and so on) of every class.
        **kwargs: Arguments of :class:`mmseg.evaluation.IoUMetric`.

    Raises:
        ValueError: If a subset is unknown, empty, or repeats an id; at the first use, if an id or a
            label is outside the data set's classes.
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
        if not subsets:
            raise ValueError(
                'SubsetIoUMetric.subsets got no subset; write '
                f'one or several of {sorted(CLASS_SUBSETS)}'
            )
        self.subsets = {name: self._ids(name, subset) for name, subset in subsets.items()}

    @staticmethod
    def _ids(name: str, subset: Subset) -> list[int]:
        if isinstance(subset, str):
            if subset not in CLASS_SUBSETS:
                raise ValueError(
                    f'SubsetIoUMetric.subsets got {subset!r}; write '
                    f'one of {sorted(CLASS_SUBSETS)}, or a dict of name and train ids'
                )
            return list(CLASS_SUBSETS[subset])
        ids = list(subset)
        if (
            not ids
            or len(set(ids)) < len(ids)
            or not all(isinstance(index, int) and index >= 0 for index in ids)
        ):
            raise ValueError(
                f'SubsetIoUMetric.subsets[{name!r}] got {ids}; write '
                'at least one train id, none of them twice'
            )
        return ids

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Process one batch; see the base class."""
        num_classes = len(self.dataset_meta['classes'])
        for name, ids in self.subsets.items():
            if max(ids) >= num_classes:
                raise ValueError(
                    f'SubsetIoUMetric.subsets[{name!r}] got the train id {max(ids)}, '
                    f'but the data set has {num_classes} classes; write ids in '
                    f'0..{num_classes - 1}'
                )
        for sample in () if self.format_only else data_samples:
            self._check_label(sample, num_classes)
        super().process(data_batch, data_samples)

    def _check_label(self, sample: dict[str, Any], num_classes: int) -> None:
        label = sample['gt_sem_seg']['data']
        wrong = label[(label >= num_classes) & (label != self.ignore_index)]
        if wrong.numel():
            raise ValueError(
                f'SubsetIoUMetric got the label {int(wrong[0])} in '
                f'{sample.get("seg_map_path", "a ground truth")!r}, but the data set has '
                f'{num_classes} classes (0..{num_classes - 1}; {self.ignore_index} is ignored); '
                'convert the labels to train ids with tools/dataset_converters'
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
        per_class.pop('aAcc')
        for key, values in per_class.items():
            means = {name: _mean(values[ids]) for name, ids in self.subsets.items()}
            metrics[f'm{key}'] = next(iter(means.values()))
            metrics.update({f'm{key}_{name}': mean for name, mean in means.items()})
            if self.per_class:
                classes = self.dataset_meta['classes']
                metrics.update(
                    {
                        f'{key}_{name}': float(np.round(value * 100, 2))
                        for name, value in zip(classes, values)
                    }
                )
        sizes = ', '.join(f'{name} ({len(ids)} classes)' for name, ids in self.subsets.items())
        print_log(f'means over {sizes}; the first is mIoU', MMLogger.get_current_instance())
        return metrics


def _mean(values: np.ndarray) -> float:
    return float(np.round(np.nanmean(values) * 100, 2))
