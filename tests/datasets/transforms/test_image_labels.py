"""Labels of whole images: which one an image gets, and how it travels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset
from mmseg.datasets import BaseSegDataset

from mmseg_uda.artifacts.image_labels import ImageLabels
from mmseg_uda.datasets.checks import check_image_labels, cropped_image_labels
from mmseg_uda.datasets.transforms import LoadImageLabels, PackUDAInputs

LABELS = np.array([[0.25, 0.75, 0], [0, 0, 1]], np.float32)


def write(path: Path, kind: str = 'share', **changes: Any) -> str:
    content = dict(names=['aachen/x.png', 'x.png'], labels=LABELS, kind=kind)
    ImageLabels(**{**content, **changes}).write(str(path))
    return str(path)


def test_the_longest_name_counts(tmp_path: Path) -> None:
    load = LoadImageLabels(write(tmp_path / 'labels.npz'), num_classes=3)
    for img_path, row in (('/data/aachen/x.png', 0), ('/data/bern/x.png', 1), ('x.png', 1)):
        results = load(dict(img_path=img_path))
        assert results['image_label'].tolist() == LABELS[row].tolist()
    results['image_label'][:] = 7  # a copy
    assert load.label_of('x.png').tolist() == LABELS[1].tolist()
    with pytest.raises(
        FileNotFoundError,
        match="LoadImageLabels.label_file: expected a label of 'y.png', but '.*' has none; run "
        'tools/train_image_labels.py on this dataset',
    ):
        load(dict(img_path='y.png'))
    assert repr(load) == (
        f"LoadImageLabels(label_file='{tmp_path}/labels.npz', num_classes=3, presence=False)"
    )


def test_it_is_packed(tmp_path: Path) -> None:
    load = LoadImageLabels(write(tmp_path / 'labels.npz'), num_classes=3)
    image = np.zeros((4, 6, 3), np.uint8)
    sample = PackUDAInputs()(load(dict(img_path='x.png', img=image)))['data_samples']
    assert sample.image_label.dtype is torch.float32
    assert sample.image_label.tolist() == [0, 0, 1]
    assert sample.to('meta').image_label.device.type == 'meta'
    assert 'image_label' not in PackUDAInputs()(dict(img_path='x.png', img=image))['data_samples']


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    shares = write(tmp_path / 'shares.npz')
    given = write(tmp_path / 'given.npz', 'presence', labels=LABELS > 0)
    assert LoadImageLabels(given, 3, presence=True).label_of('aachen/x.png').tolist() == [1, 1, 0]
    with pytest.raises(
        ValueError,
        match="LoadImageLabels.num_classes: expected 3, as in '.*', but got 19; correct it or "
        'make the labels again',
    ):
        LoadImageLabels(shares).label_of('x.png')
    with pytest.raises(
        ValueError,
        match="LoadImageLabels.presence: expected False, because '.*' holds the share of "
        'classes, but got True',
    ):
        LoadImageLabels(shares, 3, presence=True).label_of('x.png')
    with pytest.raises(
        ValueError,
        match="LoadImageLabels.presence: expected True, because '.*' holds the presence of "
        'classes, but got False',
    ):
        LoadImageLabels(given, 3).label_of('x.png')
    with pytest.raises(FileNotFoundError, match=r'run tools/train_image_labels.py CONFIG --out '):
        LoadImageLabels(str(tmp_path / 'none.npz'), 3).label_of('x.png')
    for wrong in ('', None):
        with pytest.raises(
            TypeError,
            match='LoadImageLabels.label_file: expected the path of a file that '
            'tools/train_image_labels.py wrote, but got ',
        ):
            LoadImageLabels(wrong)


def test_training_checks_every_image(tmp_path: Path) -> None:
    for name in ('aachen/x.png', 'x.png'):
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'images' / name).touch()

    def dataset(path: str, classes: str = 'abc', steps: Any = ()) -> BaseSegDataset:
        return BaseSegDataset(
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images'),
            img_suffix='.png',
            metainfo=dict(classes=tuple(classes)),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadImageLabels', label_file=path, num_classes=3),
                *steps,
            ],
        )

    path = write(tmp_path / 'labels.npz')
    check_image_labels(dataset(path))
    with pytest.raises(
        ValueError,
        match='LoadImageLabels.num_classes: expected 4, as BaseSegDataset has, but got 3; write '
        'num_classes=4',
    ):
        check_image_labels(dataset(path, 'abcd'))
    few = write(tmp_path / 'few.npz', names=['aachen/x.png'], labels=LABELS[:1])
    with pytest.raises(
        FileNotFoundError,
        match="label_file: expected a label of '.*images/x.png', but '.*few.npz' has none; run ",
    ):
        check_image_labels(dataset(few))
    flip = dict(type='RandomFlip', prob=0.5)
    assert cropped_image_labels(dataset(path, steps=[flip]), 'target') == ''
    crop = dict(type='RandomCrop', crop_size=(2, 2))
    for cropped in (dataset(path, steps=[crop]), ConcatDataset([dataset(path, steps=[crop])])):
        warning = cropped_image_labels(cropped, 'target')
        assert warning.startswith('target.pipeline: LoadImageLabels reads labels of whole images')
