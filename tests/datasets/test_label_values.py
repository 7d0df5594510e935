"""Classes without a pixel and values of no class, in a sample of the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.datasets import BaseSegDataset
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_uda.artifacts.pseudo_labels import Manifest
from mmseg_uda.datasets import label_values
from mmseg_uda.datasets.label_values import check_label_values

CLASSES = ('road', 'car', 'sky')


@TRANSFORMS.register_module(force=True)
class MendLabels(BaseTransform):
    """A user's transform that changes the values of labels."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return results


def dataset(root: Path, *labels: list[int] | Image.Image, **kwargs: Any) -> BaseSegDataset:
    """One image per label, which is a row of values or a picture."""
    for i, label in enumerate(labels):
        for kind in ('images', 'labels'):
            (root / kind).mkdir(parents=True, exist_ok=True)
        array = np.array([label], np.uint8) if isinstance(label, list) else np.array(label)
        Image.fromarray(np.zeros((*array.shape, 3), np.uint8)).save(root / f'images/{i}.png')
        picture = Image.fromarray(array) if isinstance(label, list) else label
        picture.save(root / f'labels/{i}.png')
    steps = kwargs.pop('pipeline', [dict(type='LoadAnnotations'), dict(type='PackUDAInputs')])
    return BaseSegDataset(
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        metainfo=dict(classes=CLASSES),
        pipeline=steps,
        **kwargs,
    )


def test_all_classes_are_there(tmp_path: Path) -> None:
    assert check_label_values(dataset(tmp_path, [0, 1, 255], [2, 2, 0]), 'source') == ''


def test_mask_of_0_and_255(tmp_path: Path) -> None:
    warning = check_label_values(dataset(tmp_path, [0, 0, 0, 255], [0, 0, 0, 255]), 'source')
    assert warning == (
        'source: no pixel of the classes car, sky in all 2 labels; 25.0% of the pixels have the '
        'value 255, which is ignored'
    )


def test_classes_of_wrapped_datasets_count_together(tmp_path: Path) -> None:
    both = [dataset(tmp_path / 'a', [0, 1]), dataset(tmp_path / 'b', [1, 2])]
    for one in (both[0], RepeatDataset(both[0], 3)):
        assert 'classes sky in all 1 labels' in check_label_values(one, 'source')
    assert check_label_values(ConcatDataset(both), 'source') == ''


def test_palette_counts_by_index(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode='P')
    picture.putpalette([9, 9, 9, 200, 200, 200, 77, 77, 77])
    assert check_label_values(dataset(tmp_path, picture), 'source') == ''


def test_zero_may_be_ignored(tmp_path: Path) -> None:
    labels = dataset(tmp_path, [0, 1, 2, 3], reduce_zero_label=True)
    assert check_label_values(labels, 'source') == ''
    with pytest.raises(ValueError, match='got the value 3 in 25.0% of '):
        check_label_values(dataset(tmp_path, [0, 1, 2, 3]), 'source')


def test_value_of_no_class_is_named(tmp_path: Path) -> None:
    message = (
        r'BaseSegDataset: source: expected labels 0\.\.2, its classes, or 255, which is ignored, '
        "but got the value 7 in 50.0% of '.*labels/1.png'; map them by LoadMapped"
    )
    with pytest.raises(ValueError, match=message):
        check_label_values(dataset(tmp_path, [0, 1, 2, 0], [7, 7, 0, 0]), 'source')
    with pytest.raises(ValueError, match='or 0, which is ignored, but got the value 255'):
        check_label_values(dataset(tmp_path / 'b', [0, 255]), 'source', ignore_index=0)


@pytest.mark.parametrize('step', [dict(type='MendLabels'), dict(type='LoadImageFromFile')])
def test_pipelines_that_are_not_judged(tmp_path: Path, step: dict[str, str]) -> None:
    loader = [dict(type='LoadAnnotations')] if step['type'] == 'MendLabels' else []
    assert check_label_values(dataset(tmp_path, [7], pipeline=[*loader, step]), 'source') == ''


def test_label_that_cannot_be_read_is_left_to_training(tmp_path: Path) -> None:
    labels = dataset(tmp_path, [0, 1], [2, 2])
    (tmp_path / 'labels/0.png').write_bytes(b'no picture')
    assert 'road, car in 1 of 2 labels looked at' in check_label_values(labels, 'source')


def test_sample_is_spread_and_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = dataset(tmp_path, *[[0]] * 5, [1], *[[0]] * 5, [2])
    monkeypatch.setattr(label_values, 'NUM_LABELS', 6)
    warning = check_label_values(labels, 'source')
    assert 'in 6 of 12 labels looked at' in warning
    assert warning == check_label_values(labels, 'source')
    monkeypatch.setattr(label_values, 'SECONDS', -1.0)
    assert 'in 1 of 12 labels looked at' in check_label_values(labels, 'source')


def test_pseudo_labels(tmp_path: Path) -> None:
    directory = tmp_path / 'pseudo'
    files = ['0.png', '1.png']
    manifest = Manifest({}, 3, '', '', files=files, complete=True)
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadPseudoLabels', pseudo_dir=str(directory), num_classes=3),
    ]
    images = dataset(tmp_path, [0, 0], [0, 0], pipeline=steps)
    manifest.write(str(directory))
    for file in files:
        Image.fromarray(np.array([[255, 0]], np.uint8)).save(directory / file)
    assert 'classes car, sky in all 2 labels; 50.0%' in check_label_values(images, 'target')
    Image.fromarray(np.array([[9, 0]], np.uint8)).save(directory / '1.png')
    with pytest.raises(ValueError, match='expected labels below 3 or 255, but got 9'):
        check_label_values(images, 'target')
    images.pipeline.transforms[1].pseudo_dir = None  # a hook will name it
    assert check_label_values(images, 'target') == ''
