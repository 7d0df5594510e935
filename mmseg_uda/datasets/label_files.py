"""Checks of label files by their headers: size, channels and bit depth."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mmcv.transforms import LoadAnnotations as BaseLoadAnnotations
from mmcv.transforms import LoadImageFromFile, Resize
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image, UnidentifiedImageError

from mmseg_uda.utils.progress import track

__all__ = ['check_label_files', 'image_header']

# Modes of 8-bit files with one value per pixel: grey, palette, and masks of one bit.
LABEL_MODES = ('L', 'P', '1')
ORIENTATION = 0x0112  # EXIF tag; OpenCV turns images with the values 5 to 8 by 90 degrees
TOLERANCE = 0.01  # of the ratio of sides: 1914x1052 and 1024x562 differ by 0.0015
NUM_THREADS = 16  # headers are waited for, not computed


def check_label_files(dataset: Any, key: str) -> None:
    """Check the header of every label file of a dataset against that of its image.

    Only headers are read, by several threads: about 10,000 pairs a second from a local disk. Files
    that are not local, or that Pillow does not know, are left to the dataset's own loaders.

    Args:
        dataset: A built dataset that is no wrapper; wrappers are taken apart by
            :func:`mmseg_uda.datasets.checks.check_dataset`.
        key: Its place in the config, for errors.

    Raises:
        ValueError: A label is not of its image's size (or of its shape, where the next step resizes
            both, as for images that were translated at another size), or is a file of several
            channels or of more than 8 bits that the stock ``LoadAnnotations`` would load as
            something else.
    """
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    loaders = [step for step in steps if isinstance(step, BaseLoadAnnotations)]
    pairs = list(_pairs(dataset)) if loaders else []  # labels that nobody loads are not read
    strict = any(type(step) is LoadAnnotations for step in loaders)  # no subclass of a user's
    resized = _resizes_both(steps)
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        problems = threads.map(lambda pair: _compare(pair[0], pair[1], strict, resized), pairs)
        for problem in track(problems, len(pairs), f'headers of {key}'):
            if problem:
                threads.shutdown(cancel_futures=True)
                raise ValueError(f'{type(dataset).__name__}: {key}: {problem}')


def _resizes_both(steps: Sequence[Any]) -> bool:
    """Tell whether an image and its label get one size right after they are loaded."""
    for index, step in enumerate(steps):
        if not isinstance(step, (BaseLoadAnnotations, LoadImageFromFile)):
            loaded = any(isinstance(each, BaseLoadAnnotations) for each in steps[:index])
            fixed = isinstance(step, Resize) and step.scale is not None and not step.keep_ratio
            return loaded and fixed
    return False


def _pairs(dataset: Any) -> Iterator[tuple[str | None, str]]:
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        label = info.get('seg_map_path')
        if label is not None:
            yield info.get('img_path'), label


def _compare(image_path: str | None, label_path: str, strict: bool, resized: bool) -> str:
    """Describe what is wrong with a pair; empty if nothing is."""
    label = image_header(label_path)
    if label is None:
        return ''
    width, height, mode = label
    if strict and mode not in LABEL_MODES:
        return (
            f'expected a label of one channel and 8 bits, but got {label_path!r} of Pillow mode '
            f'{mode!r}; convert it to train ids (tools/dataset_converters), or write a transform '
            'of your own that loads it'
        )
    image = None if image_path is None else image_header(image_path)
    same = image is None or image[:2] == (width, height)
    if image is not None and not same and resized:
        same = abs(image[0] * height / (image[1] * width) - 1) < TOLERANCE
    if image is not None and not same:
        return (
            f'expected a label of {image[0]} x {image[1]} pixels (width x height), the size of '
            f'{image_path!r}, but got {width} x {height} in {label_path!r}'
        )
    return ''


def image_header(path: str) -> tuple[int, int, str] | None:
    """Width, height and mode of an image file; None if Pillow cannot tell."""
    if not os.path.isfile(path):
        return None
    try:
        with Image.open(path) as image:
            width, height = image.size
            # Without a tag in its header, Pillow would decode a whole PNG to look behind it.
            tags = image.getexif() if image.format != 'PNG' or 'exif' in image.info else {}
            if tags.get(ORIENTATION, 1) >= 5:
                width, height = height, width
            return width, height, image.mode
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
