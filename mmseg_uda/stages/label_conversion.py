"""Conversion of labels to Cityscapes train ids, for ``tools/dataset_converters``.

A converted dataset consists of

- one 8-bit PNG per label, train ids 0..18 and 255 for everything else;
- ``<split>.txt``: the names of all converted samples, one a line (mmseg's ``ann_file``);
- ``class_stats_<split>.json``::

    {"classes": ["road", ...], "ignore_index": 255,
     "totals": {"0": pixels, ..., "18": pixels, "255": pixels},
     "images": {"<name>": {"<train id>": pixels, ...}, ...}}

  A class that an image does not show is left out of the image's entry.

Every label is read in each run, and what holds just its train ids counts as converted already. So
both files are complete after a resumed run as well. Older files of other content are moved aside.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log
from mmseg.datasets import CityscapesDataset
from PIL import Image

from mmseg_uda.artifacts.files import atomic_write, is_disk_full, list_files
from mmseg_uda.artifacts.outputs import check_output
from mmseg_uda.structures import IGNORE_INDEX
from mmseg_uda.utils.parser import ToolParser, at_least
from mmseg_uda.utils.processes import map_with_progress

__all__ = ['LabelFormat', 'read_index_png', 'read_uint16_png', 'run_converter']

CLASSES: tuple[str, ...] = CityscapesDataset.METAINFO['classes']


@dataclass(frozen=True)
class LabelFormat:
    """The format in which a dataset stores its labels.

    Args:
        train_ids: Original id -> train id; every other id becomes 255.
        num_ids: The original ids are ``0 .. num_ids - 1``; a file with another value is refused.
        read: Gives a file's original ids, shape (H, W), integers; raises ``ValueError`` for a file
            of the wrong type.
        label_suffix: End of a label's file name; the sample's name comes before it.
        image_suffix: End of the file name of the image that belongs to the label.
        output_suffix: End of the converted label's file name.
        split_directories: Whether the first directory below the label directory names the split;
            else all labels are of the split ``train``.
    """

    train_ids: Mapping[int, int]
    num_ids: int
    read: Callable[[Path], np.ndarray]
    label_suffix: str = '.png'
    image_suffix: str = '.png'
    output_suffix: str = '_labelTrainIds.png'
    split_directories: bool = False

    def load(self, path: Path) -> np.ndarray:
        """Load the train ids of a label file, shape (H, W), uint8.

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
    """The outcome of a job: pixels per train id, or the reason why there are none."""

    job: LabelJob
    counts: dict[int, int] = field(default_factory=dict)
    resumed: bool = False
    error: str = ''


def read_index_png(path: Path) -> np.ndarray:
    """Read the ids of an 8-bit grey PNG, or the indices of a palette PNG, shape (H, W), uint8.

    Raises:
        ValueError: If the PNG is of another type.
    """
    with Image.open(path) as image:
        if image.mode not in ('P', 'L'):
            raise ValueError(f'is a PNG of mode {image.mode}; expected 8-bit palette or grey')
        return np.asarray(image)


def read_uint16_png(path: Path) -> np.ndarray:
    """Read the first channel, shape (H, W), uint16, of a 16-bit grey-alpha or RGB PNG.

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
    """Find all labels below ``label_dir``, sorted by name."""
    jobs = []
    check_sizes = image_dir.is_dir()
    for file in sorted(list_files(label_dir)):
        # Files with the other suffix were converted in place by an earlier run.
        if not file.endswith(label_format.label_suffix) or file.endswith(
            label_format.output_suffix
        ):
            continue
        path = file.removesuffix(label_format.label_suffix)
        split, name = 'train', path
        if label_format.split_directories and '/' in path:
            split, name = path.split('/', 1)
        image = image_dir / (path + label_format.image_suffix) if check_sizes else None
        output = output_dir / (path + label_format.output_suffix)
        jobs.append(LabelJob(name, split, label_dir / file, image, output))
    return jobs


def convert_label(job: LabelJob, label_format: LabelFormat, overwrite: bool = False) -> LabelResult:
    """Convert one label, unless its output holds its train ids already; count its pixels.

    Raises:
        OSError: The disk is full. Other errors are part of the result.
    """
    try:
        train_ids = label_format.load(job.label)
        if job.image is not None:
            _check_size(train_ids, job.image)
        resumed = not overwrite and _holds(job.output, train_ids)
        if not resumed:
            with atomic_write(job.output, keep=True) as file:
                file.write_bytes(cv2.imencode('.png', train_ids)[1].tobytes())
        ids, counts = np.unique(train_ids, return_counts=True)
        return LabelResult(job, dict(zip(ids.tolist(), counts.tolist())), resumed)
    except Exception as error:  # decoders raise anything on damaged files; the others must go on
        if is_disk_full(error):
            raise
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
        label_format: The dataset's label format.
        jobs: The labels.
        list_dir: Directory of ``<split>.txt`` and ``class_stats_<split>.json``.
        nproc: Number of processes.
        overwrite: Whether to convert labels again that were converted earlier.

    Returns:
        One result per job, in the order of ``jobs``.
    """
    convert = partial(convert_label, label_format=label_format, overwrite=overwrite)
    results = map_with_progress(convert, jobs, 'labels', nproc)
    for split in sorted({job.split for job in jobs}):
        done = [result for result in results if result.job.split == split and not result.error]
        with atomic_write(list_dir / f'{split}.txt', keep=True) as file:
            file.write_text(''.join(f'{result.job.name}\n' for result in done), encoding='utf-8')
        with atomic_write(list_dir / f'class_stats_{split}.json', keep=True) as file:
            file.write_text(json.dumps(_statistics(done)), encoding='utf-8')
    return results


def _holds(path: Path, train_ids: np.ndarray) -> bool:
    """Tell whether a file is a label with these train ids."""
    try:
        return np.array_equal(read_index_png(path), train_ids)
    except (OSError, SyntaxError, ValueError):
        return False


def _check_size(train_ids: np.ndarray, image: Path) -> None:
    if not image.is_file():
        raise ValueError(f'has no image {image}')
    with Image.open(image) as opened:
        width, height = opened.size
    if train_ids.shape != (height, width):
        raise ValueError(
            f'is {train_ids.shape[1]}x{train_ids.shape[0]} pixels, but its image {image} is '
            f'{width}x{height}'
        )


def _statistics(results: Sequence[LabelResult]) -> dict[str, object]:
    totals = dict.fromkeys([*range(len(CLASSES)), IGNORE_INDEX], 0)
    for result in results:
        for train_id, pixels in result.counts.items():
            totals[train_id] = totals.get(train_id, 0) + pixels
    images = {result.job.name: result.counts for result in results}
    return dict(classes=CLASSES, ignore_index=IGNORE_INDEX, totals=totals, images=images)


def run_converter(
    description: str,
    label_format: Callable[[str], LabelFormat],
    gt_dir: str,
    img_dir: str,
    argv: Sequence[str] | None = None,
) -> int:
    """Run a converter's command line.

    Args:
        description: Text of its help.
        label_format: Gives the label format of a label directory.
        gt_dir: Default of the label directory below the dataset's.
        img_dir: Default of the image directory below the dataset's.
        argv: Arguments; None takes the process's.

    Returns:
        The exit status: 0, or 1 if a label failed.
    """
    parser = ToolParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add('data_root', type=Path, help='directory of the downloaded dataset')
    add('--gt-dir', default=gt_dir, help='label directory below data_root')
    add('--img-dir', default=img_dir, help='image directory below data_root')
    add('-o', '--out-dir', type=Path, help='output directory (default: data_root)')
    add('--nproc', type=at_least(1), default=os.cpu_count() or 1, help='processes')
    add('--overwrite', action='store_true', help='convert again what is already converted')
    args = parser.parse_args(argv)
    out_dir = args.out_dir or args.data_root
    if Path(args.gt_dir).is_absolute() or '..' in Path(args.gt_dir).parts:
        parser.error(  # below the output directory it would lead to the originals, or anywhere
            f'--gt-dir: expected a path below data_root like {gt_dir}, but got {args.gt_dir}'
        )
    label_dir, image_dir = args.data_root / args.gt_dir, args.data_root / args.img_dir
    if not label_dir.is_dir():
        parser.error(
            f'--gt-dir: expected a directory, but there is no {label_dir}; correct it or data_root'
        )
    output_dir = out_dir / args.gt_dir
    reads = [('--img-dir', image_dir)]
    if output_dir.resolve() != label_dir.resolve():  # converted labels may lie beside the originals
        reads.append(('--gt-dir', label_dir))
    check_output('--out-dir', output_dir, reads)
    found = label_format(args.gt_dir)
    jobs = find_jobs(found, label_dir, image_dir, output_dir)
    if not jobs:
        parser.error(
            f'--gt-dir: expected names that end in {found.label_suffix}, but {label_dir} has none'
        )
    if jobs[0].image is None:
        print_log(f'no image directory {image_dir}: label sizes are not checked')
    results = convert_dataset(found, jobs, out_dir, nproc=args.nproc, overwrite=args.overwrite)
    failed = [result for result in results if result.error]
    resumed = sum(result.resumed for result in results)
    print_log(
        f'{len(results) - len(failed) - resumed} labels converted, {resumed} were already, '
        f'{len(failed)} failed; lists and class statistics are in {out_dir}'
    )
    sys.stderr.writelines(f'failed: {each.job.label}: {each.error}\n' for each in failed)
    return 1 if failed else 0
