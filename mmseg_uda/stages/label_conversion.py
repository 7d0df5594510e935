"""The engine of ``tools/dataset_converters``: original label ids -> Cityscapes train ids.

A converted data set consists of

- one 8-bit PNG per label, train ids 0..18 and 255 for everything else;
- ``<split>.txt``: the names of all converted samples, one a line (mmseg's ``ann_file``);
- ``class_stats_<split>.json``::

    {"classes": ["road", ...], "ignore_index": 255,
     "totals": {"0": pixels, ..., "18": pixels, "255": pixels},
     "images": {"<name>": {"<train id>": pixels, ...}, ...}}

  where a class that an image does not show is left out of the image's entry.

Labels that were converted earlier are counted again from the converted file, so both files are
complete after a resumed run as well.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mmengine.utils import ProgressBar
from mmseg.datasets import CityscapesDataset
from PIL import Image

from mmseg_uda.artifacts.files import atomic_write
from mmseg_uda.structures import IGNORE_INDEX

__all__ = [
    'LabelFormat',
    'LabelJob',
    'LabelResult',
    'convert_dataset',
    'convert_label',
    'find_jobs',
    'read_index_png',
    'read_uint16_png',
]

CLASSES: tuple[str, ...] = CityscapesDataset.METAINFO['classes']


@dataclass(frozen=True)
class LabelFormat:
    """How a data set stores its labels.

    Args:
        train_ids: Original id -> train id; every other id becomes 255.
        num_ids: The original ids are ``0 .. num_ids - 1``; a file with another value is refused.
        read: Gives a file's original ids, shape (H, W), integers; raises ``ValueError`` for a file
            of the wrong type.
        label_suffix: End of a label's file name; what comes before is the sample's name.
        image_suffix: End of the file name of the image that belongs to the label.
        output_suffix: End of the converted label's file name.
        split_folders: Whether the first folder below the label folder names the split; else all
            labels are of the split ``train``.
    """

    train_ids: Mapping[int, int]
    num_ids: int
    read: Callable[[Path], np.ndarray]
    label_suffix: str = '.png'
    image_suffix: str = '.png'
    output_suffix: str = '_labelTrainIds.png'
    split_folders: bool = False

    def load(self, path: Path) -> np.ndarray:
        """Train ids of a label file, shape (H, W), uint8.

        Raises:
            ValueError: If the file has the wrong type or holds an unknown id.
        """
        ids = self.read(path)
        if ids.max() >= self.num_ids:
            raise ValueError(f'holds the id {ids.max()}; known ids are 0..{self.num_ids - 1}')
        table = np.full(self.num_ids, IGNORE_INDEX, np.uint8)
        table[list(self.train_ids)] = list(self.train_ids.values())
        return table[ids]


@dataclass(frozen=True)
class LabelJob:
    """One label to convert; ``image`` is None where sizes cannot be compared."""

    name: str
    split: str
    label: Path
    image: Path | None
    output: Path


@dataclass(frozen=True)
class LabelResult:
    """What became of a job: pixels per train id, or the reason why there are none."""

    job: LabelJob
    counts: dict[int, int] = field(default_factory=dict)
    resumed: bool = False
    error: str = ''


def read_index_png(path: Path) -> np.ndarray:
    """Ids of an 8-bit palette or grey PNG, shape (H, W), uint8; of a palette PNG the indices.

    Raises:
        ValueError: If the PNG is of another type.
    """
    with Image.open(path) as image:
        if image.mode not in ('P', 'L'):
            raise ValueError(f'is a PNG of mode {image.mode}; expected 8-bit palette or grey')
        return np.asarray(image)


def read_uint16_png(path: Path) -> np.ndarray:
    """First channel, shape (H, W), uint16, of a 16-bit PNG with two (grey, alpha) or three (RGB).

    Raises:
        ValueError: If the PNG is of another type or damaged.
    """
    with Image.open(path) as image:
        image.verify()  # OpenCV returns the intact rows of a truncated file without a word
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError('is not a readable PNG')
    if pixels.dtype != np.uint16 or pixels.ndim != 3:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise ValueError(f'is a PNG of {channels} x {pixels.dtype}; expected 2 or 3 x uint16')
    return pixels[..., 2]  # BGR, or BGRA with B = G = R = grey: index 2 is the file's first channel


def find_jobs(
    label_format: LabelFormat, label_dir: Path, image_dir: Path, output_dir: Path
) -> list[LabelJob]:
    """All labels below ``label_dir``, sorted by name."""
    jobs = []
    check_sizes = image_dir.is_dir()
    for label in sorted(label_dir.rglob(f'*{label_format.label_suffix}')):
        if label.name.endswith(label_format.output_suffix):
            continue  # converted in place by an earlier run
        path = label.relative_to(label_dir).as_posix()
        path = path[: -len(label_format.label_suffix)]
        split, name = 'train', path
        if label_format.split_folders and '/' in path:
            split, name = path.split('/', 1)
        jobs.append(
            LabelJob(
                name,
                split,
                label,
                image_dir / (path + label_format.image_suffix) if check_sizes else None,
                output_dir / (path + label_format.output_suffix),
            )
        )
    return jobs


def convert_label(job: LabelJob, label_format: LabelFormat, overwrite: bool = False) -> LabelResult:
    """Convert one label, or count the pixels of the one converted earlier; never raises."""
    try:
        train_ids = None if overwrite else _load_converted(job.output)
        resumed = train_ids is not None
        if train_ids is None:
            train_ids = label_format.load(job.label)
            _check_size(train_ids, job.image)
            with atomic_write(job.output) as file:
                file.write_bytes(cv2.imencode('.png', train_ids)[1].tobytes())
        ids, counts = np.unique(train_ids, return_counts=True)
        return LabelResult(job, dict(zip(ids.tolist(), counts.tolist())), resumed)
    except Exception as error:  # decoders raise anything on damaged files; the others must go on
        return LabelResult(job, error=str(error) or type(error).__name__)


def convert_dataset(
    label_format: LabelFormat,
    jobs: Sequence[LabelJob],
    list_dir: Path,
    *,
    nproc: int = 1,
    overwrite: bool = False,
) -> list[LabelResult]:
    """Convert all jobs and write the name lists and class statistics of their splits.

    Args:
        label_format: The data set's label format.
        jobs: What to convert.
        list_dir: Folder of ``<split>.txt`` and ``class_stats_<split>.json``.
        nproc: Number of processes.
        overwrite: Whether to convert labels again that were converted earlier.

    Returns:
        One result per job, in the order of ``jobs``.
    """
    results = []
    progress = ProgressBar(len(jobs), file=sys.stderr)
    convert = partial(convert_label, label_format=label_format, overwrite=overwrite)
    for result in _map(convert, jobs, nproc):
        results.append(result)
        progress.update()
    sys.stderr.write('\n')
    for split in sorted({job.split for job in jobs}):
        done = [result for result in results if result.job.split == split and not result.error]
        texts = {
            f'{split}.txt': ''.join(f'{result.job.name}\n' for result in done),
            f'class_stats_{split}.json': json.dumps(_statistics(done)),
        }
        for name, text in texts.items():
            with atomic_write(list_dir / name) as file:
                file.write_text(text, encoding='utf-8')
    return results


def _map(
    function: Callable[[LabelJob], LabelResult], jobs: Sequence[LabelJob], nproc: int
) -> Iterator[LabelResult]:
    if nproc == 1:
        yield from map(function, jobs)
        return
    executor = ProcessPoolExecutor(nproc, initializer=_init_worker)
    try:
        yield from executor.map(function, jobs, chunksize=4)
    finally:  # labels in work are finished, so that an interruption leaves no partial file
        executor.shutdown(cancel_futures=True)


def _init_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _load_converted(path: Path) -> np.ndarray | None:
    try:
        return read_index_png(path)
    except (OSError, SyntaxError, ValueError):
        return None


def _check_size(train_ids: np.ndarray, image: Path | None) -> None:
    if image is None:
        return
    if not image.is_file():
        raise ValueError(f'has no image {image}')
    with Image.open(image) as opened:
        width, height = opened.size
    if train_ids.shape != (height, width):
        raise ValueError(
            f'is {train_ids.shape[1]}x{train_ids.shape[0]} pixels, but its image '
            f'{image} is {width}x{height}'
        )


def _statistics(results: Sequence[LabelResult]) -> dict[str, object]:
    totals = dict.fromkeys([*range(len(CLASSES)), IGNORE_INDEX], 0)
    for result in results:
        for train_id, pixels in result.counts.items():
            totals[train_id] = totals.get(train_id, 0) + pixels
    return {
        'classes': CLASSES,
        'ignore_index': IGNORE_INDEX,
        'totals': totals,
        'images': {result.job.name: result.counts for result in results},
    }
