"""Headers of label files against those of their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_uda.datasets.label_files import check_label_files

SIZE = (6, 9)  # height, width


@TRANSFORMS.register_module(force=True)
class LoadColourLabels(LoadAnnotations):
    """A user's way to load labels of three channels."""


def dataset(
    root: Path,
    label: np.ndarray,
    loader: str = 'LoadAnnotations',
    exif: int = 0,
    before: Sequence[dict[str, Any]] = (),
    after: Sequence[dict[str, Any]] = (),
) -> BaseSegDataset:
    for i in range(3):
        for kind in ('images', 'labels'):
            (root / kind).mkdir(exist_ok=True)
        tags = Image.Exif()
        if exif:
            tags[0x0112] = exif
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(root / f'images/{i}.png', exif=tags)
        array = label if i == 1 else np.zeros(SIZE if exif < 5 else SIZE[::-1], np.uint8)
        Image.fromarray(array).save(root / f'labels/{i}.png')
    return BaseSegDataset(
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        metainfo=dict(classes=('a', 'b')),
        pipeline=[*before, dict(type=loader), *after],
    )


@pytest.mark.parametrize(
    'label',
    [np.zeros(SIZE, np.uint8), np.zeros(SIZE, bool)],
    ids=['8 bits', '1 bit'],
)
def test_sound_labels(tmp_path: Path, label: np.ndarray) -> None:
    check_label_files(dataset(tmp_path, label), 'source')


@pytest.mark.parametrize('shape', [(5, 9), (6, 8), (9, 6)])
def test_another_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    message = (
        "source: expected a label of 9 x 6 .*images/1.png', "
        f'but got {shape[1]} x {shape[0]} in .*labels/1.png'
    )
    with pytest.raises(ValueError, match=message):
        check_label_files(dataset(tmp_path, np.zeros(shape, np.uint8)), 'source')


RESIZE = dict(type='Resize', scale=(90, 60))


def test_images_of_another_size_that_are_resized_with_their_labels(tmp_path: Path) -> None:
    """As 1024x562, at which CycleGAN translates, and GTA5's 1914x1052."""
    twice = np.zeros((12, 18), np.uint8)
    load = [dict(type='LoadImageFromFile')]
    check_label_files(dataset(tmp_path, twice, before=load, after=[RESIZE]), 'source')
    for label, before, after in (
        (np.zeros((12, 17), np.uint8), load, [RESIZE]),  # another shape
        (twice, load, [dict(RESIZE, keep_ratio=True)]),  # each would keep its own size
        (twice, [*load, RESIZE], []),  # the image alone, as in validation
        (twice, load, [dict(type='RandomFlip', prob=0.5), RESIZE]),
    ):
        with pytest.raises(ValueError, match='expected a label of 9 x 6'):
            check_label_files(dataset(tmp_path, label, before=before, after=after), 'source')


@pytest.mark.parametrize(
    ('label', 'mode'),
    [
        (np.zeros((*SIZE, 3), np.uint8), 'RGB'),
        (np.zeros((*SIZE, 4), np.uint8), 'RGBA'),
        (np.zeros(SIZE, np.uint16), 'I;16'),
    ],
)
def test_another_kind_of_file(tmp_path: Path, label: np.ndarray, mode: str) -> None:
    message = f"one channel and 8 bits, but got '.*labels/1.png' of Pillow mode '{mode}'"
    with pytest.raises(ValueError, match=message):
        check_label_files(dataset(tmp_path, label), 'source')
    other = dataset(tmp_path, label, 'LoadColourLabels')
    check_label_files(other, 'source')  # the user's own loader knows its files


def test_turned_by_exif(tmp_path: Path) -> None:
    check_label_files(dataset(tmp_path, np.zeros(SIZE[::-1], np.uint8), exif=6), 'source')
    with pytest.raises(ValueError, match='expected a label of 6 x 9 '):
        check_label_files(dataset(tmp_path, np.zeros(SIZE, np.uint8), exif=6), 'source')


def test_what_pillow_does_not_know_is_left_alone(tmp_path: Path) -> None:
    labelled = dataset(tmp_path, np.zeros(SIZE, np.uint8))
    (tmp_path / 'labels/0.png').write_bytes(b'a format of its own')
    (tmp_path / 'labels/2.png').unlink()
    check_label_files(labelled, 'source')
