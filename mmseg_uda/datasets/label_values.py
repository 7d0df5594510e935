"""Values of a sample of the labels: classes without a pixel, and values that are no class."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmseg_uda.config.datasets import LABEL_LOADERS
from mmseg_uda.datasets.checks import unwrap
from mmseg_uda.datasets.class_map import UnlistedValueError
from mmseg_uda.datasets.transforms.loading import LoadPseudoLabels
from mmseg_uda.structures import IGNORE_INDEX

__all__ = ['LabelLook', 'check_label_values', 'look_at_labels']

NUM_LABELS = 150  # of 2048 x 1024 pixels: a few seconds on two cores
SECONDS = 10.0
NUM_NAMES = 20  # of absent classes that a warning lists
STOCK = ('mmcv', 'mmseg', 'mmseg_uda')  # whose transforms leave the values of labels as they are

Labels = Callable[[int], 'tuple[str, NDArray[Any]] | None']


class LabelLook(NamedTuple):
    """Values in one label.

    Args:
        path: Its file.
        values: Those that occur, ascending.
        counts: Number of pixels of each.
    """

    path: str
    values: NDArray[Any]
    counts: NDArray[Any]


def check_label_values(dataset: Any, key: str, ignore_index: int = IGNORE_INDEX) -> str:
    """Look at some of the labels that a training set's own pipeline loads.

    The sample is spread evenly over the dataset, and always the same. Labels count as the dataset's
    loaders give them, after ``reduce_zero_label`` and ``label_map``. Looking ends after about ten
    seconds. Pipelines with transforms of users, which may change labels, are not judged, nor are
    files that cannot be read: training names them.

    Args:
        dataset: A built dataset with class names, wrapped or not.
        key: Its place in the config, for messages.
        ignore_index: Label of the pixels that no loss counts.

    Returns:
        A warning that names the classes without a pixel; empty if there are none.

    Raises:
        ValueError: A label has a value that is neither a class nor ``ignore_index``, or that a
            ``LoadMappedAnnotations`` does not list.
    """
    classes = dataset.metainfo['classes']
    total, looks = look_at_labels(dataset)
    pixels = np.zeros(len(classes), np.int64)  # of each class
    ignored = 0
    for look in looks:
        known = (look.values >= 0) & (look.values < len(classes))
        pixels[look.values[known].astype(np.int64)] += look.counts[known]
        ignored += int(look.counts[look.values == ignore_index].sum())
        wrong = ~known & (look.values != ignore_index)
        if wrong.any():
            share = look.counts[wrong][0] / look.counts.sum()
            raise ValueError(
                f'{type(dataset).__name__}: {key}: expected labels 0..{len(classes) - 1}, its '
                f'classes, or {ignore_index}, which is ignored, but got the value '
                f'{look.values[wrong][0]} in {share:.1%} of {look.path!r}; map them by '
                'LoadMappedAnnotations, convert them to train ids (tools/dataset_converters), or '
                'write metainfo=dict(classes=...)'
            )
    absent = [str(name) for name, count in zip(classes, pixels) if not count]
    if not absent or not looks:
        return ''
    rest = f' and {len(absent) - NUM_NAMES} more' if len(absent) > NUM_NAMES else ''
    some = (
        f'{len(looks)} of {total} labels looked at' if len(looks) < total else f'all {total} labels'
    )
    return (
        f'{key}: no pixel of the classes {", ".join(absent[:NUM_NAMES])}{rest} in {some}; '
        f'{ignored / (ignored + pixels.sum()):.1%} of the pixels have the value {ignore_index}, '
        'which is ignored'
    )


def look_at_labels(dataset: Any) -> tuple[int, list[LabelLook]]:
    """Look at a sample of a training set's labels, as its own pipeline loads them.

    Returns:
        Number of labels, and the values of each that was looked at; none if a pipeline with
        transforms of users cannot be judged.
    """
    loads = [load for inner in unwrap(dataset) for load in _loaders(inner)]
    random = np.random.default_rng(0)
    edges = np.linspace(0, len(loads), min(len(loads), NUM_LABELS) + 1).astype(int)
    sample = [int(random.integers(*part)) for part in itertools.pairwise(edges)]
    deadline = time.monotonic() + SECONDS
    looks: list[LabelLook] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        # In random order, so that those within the time are spread over the dataset, too.
        jobs = [threads.submit(_look, *loads[i]) for i in random.permutation(sample)]
        for job in as_completed(jobs):
            looks += [look for look in (job.result(),) if look]
            if time.monotonic() > deadline:
                threads.shutdown(cancel_futures=True)
                break
    return len(loads), looks


def _loaders(dataset: Any) -> list[tuple[Any, Any, int]]:
    """Loader, dataset and index of each label; none if the pipeline cannot be judged."""
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    kinds = (*LABEL_LOADERS, LoadPseudoLabels)
    loaders = [step for step in steps if isinstance(step, kinds)]
    others = [step for step in steps if not isinstance(step, kinds)]
    if len(loaders) != 1 or any(
        type(each).__module__.split('.')[0] not in STOCK for each in others
    ):
        return []
    if getattr(loaders[0], 'pseudo_dir', '') is None:  # a hook will make the labels
        return []
    return [(loaders[0], dataset, index) for index in range(len(dataset))]


def _look(loader: Any, dataset: Any, index: int) -> LabelLook | None:
    info = dataset.get_data_info(index)
    if isinstance(loader, LoadPseudoLabels):
        path = loader.path_of(info['img_path'])
        label = loader.read(path)
    else:
        path = str(info.get('seg_map_path'))
        try:
            label = loader(info)['gt_seg_map']
        except UnlistedValueError:
            raise
        except Exception:  # the stream names the sample that cannot be loaded
            return None
    if label.dtype == np.uint8:  # far quicker than sorting
        counts = np.bincount(label.ravel(), minlength=256)
        values = counts.nonzero()[0]
        return LabelLook(path, values, counts[values])
    return LabelLook(path, *np.unique(label, return_counts=True))
